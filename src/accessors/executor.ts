/** What a statement gives back: the rows, and how many the server says it touched. */
export interface QueryRows<R extends object> {
  rows: R[]
  rowCount: number | null
}

/**
 * All that accessors need from the runtime. Whoever hands one out has already tied it to an
 * identity, so nothing below this line knows who is asking.
 */
export interface Executor {
  /** Runs one statement; values travel as bind parameters, never inside the text. */
  query<R extends object>(text: string, values: readonly unknown[]): Promise<QueryRows<R>>
  /** Runs `fn` in one transaction of the same identity; nests as a savepoint. */
  transaction<T>(fn: (tx: Executor) => Promise<T>): Promise<T>
}
