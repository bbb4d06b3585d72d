/** Something that check() finds, and what becomes of it. */
export interface Case {
  readonly name: string
  /** Run by the superuser; @app, @owner, @extra and @db stand for names. */
  readonly given: string
  readonly found: string
  /** What is found beside it, because the application declared it so. */
  readonly beside?: readonly string[]
  readonly object?: RegExp
  /** Puts a name where the fix cannot know one. */
  readonly fill?: readonly [string | RegExp, string]
  /** What the fix makes of it, where that is another step or a choice that check() keeps in mind. */
  readonly leaves?: readonly string[]
  /** What is printed where no statement is the fix, which is then not run. */
  readonly printed?: RegExp
  /** For procedures, which commit: run outside of a transaction, and undone by this. */
  readonly undo?: string
  /** Who runs all of it, where a superuser is refused. */
  readonly by?: 'owner'
}
