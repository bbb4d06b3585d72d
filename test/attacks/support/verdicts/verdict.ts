/** What became of an attack, who could try it with the least powers, and why. */
export interface Verdict {
  readonly verdict: 'closed' | 'stated residual'
  readonly by: string
  /** What closes it, or what remains. */
  readonly because: string
}

export const closed = (by: string, because: string): Verdict => ({ verdict: 'closed', by, because })

export const stated = (by: string, because: string): Verdict => ({
  verdict: 'stated residual',
  by,
  because,
})

/** Who most attackers are: somebody with SQL in the application's session. */
export const login = 'an application login'
