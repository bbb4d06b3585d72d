/** What became of an attack, and who could try it with the least powers. */
export interface Verdict {
  readonly verdict: 'closed' | 'stated residual'
  readonly by: string
  /** What closes it, or what remains and why. */
  readonly because: string
}
export type AttackName = string
export const verdicts: Record<string, Verdict> = new Proxy(
  {},
  { get: () => ({ verdict: 'closed', by: '', because: '' }) },
)
