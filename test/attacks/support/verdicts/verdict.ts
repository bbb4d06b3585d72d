/** What becomes of an attack: who could try it with the least powers, and why. */
export interface Verdict {
  readonly verdict: 'closed' | 'stated residual'
  readonly by: string
  /** What closes it, or what remains. */
  readonly because: string
  /** Where users read of what remains: a page of extension/doc, and words on it. */
  readonly stated?: { readonly page: string; readonly says: string }
  /** A test outside of this folder, and what shows there that the attack works where nothing closes it. */
  readonly elsewhere?: { readonly file: string; readonly test: string; readonly control: string }
}

export const closed = (by: string, because: string) =>
  ({ verdict: 'closed', by, because }) as const satisfies Verdict

export const stated = (by: string, because: string, page: string, says: string) =>
  ({ verdict: 'stated residual', by, because, stated: { page, says } }) as const satisfies Verdict

/** The same verdict, from a test of another folder. */
export const elsewhere = <V extends Verdict>(
  verdict: V,
  file: string,
  test: string,
  control: string,
) => ({ ...verdict, elsewhere: { file, test, control } })

/** Who most attackers are: somebody with SQL in the application's session. */
export const login = 'an application login'
