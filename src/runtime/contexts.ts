import { deriveKeyShare, deriveSigningKey, mintCredential } from '../credential.js'
import { contextError, TenantryError } from '../errors.js'
import { identityKey, type Identity } from '../identity.js'
import { statementFrame } from './frames.js'
import { LruMap } from './lru.js'
import type { RawClient } from './pg-internals.js'

/** The statement that enters the context of one identity, and what to do with its answer. */
export interface ContextStatement {
  readonly text: string
  readonly values: readonly string[]
  /** Its messages as an unnamed statement; made once. */
  frame(): Buffer
  /** Set when the statement answers with a pass. */
  readonly onValue: ((value: string) => void) | undefined
  /** Whether it may be one kept from an earlier call, so that another could fare better. */
  readonly kept: boolean
}

/** Where context statements come from. */
export interface Contexts {
  /** Whether `statement` can be called: the audience is known, and whether a key share is wanted. */
  readonly ready: boolean
  /** Asks the database for its audience, once per pool. */
  prepare(client: RawClient): Promise<void>
  /** The statement for the next transaction of `who`. */
  statement(who: Identity): ContextStatement
  /** Forgets what is kept for `who`, after the database refused it. */
  forget(who: Identity): void
  /** Hears of every error: one that says that the key share is missing has it asked about again. */
  noteError(error: unknown): void
}

export interface ContextOptions {
  secret: string
  audience: string | undefined
  /** Whether to bring the key share; undefined: as the database wants. */
  keyShare?: boolean | undefined
  /** Seconds a credential lives. */
  credentialTtl: number
  /** Seconds a pass may be used again; 0: enter anew each time. */
  contextTtl: number
}

const ENTER = 'select tenantry.enter($1)'
const ENTER_WITH_SHARE = 'select tenantry.enter($1, $2)'
const ENTER_FOR_PASS = 'select tenantry_private.enter_for_pass($1, $2)'
const ENTER_FOR_PASS_WITH_SHARE = 'select tenantry_private.enter_for_pass($1, $2, $3)'
const REMEMBERED = 10_000

/**
 * Mints credentials and keeps what can be used again, the most recently used 10,000 identities.
 * How long it is kept is measured by a clock that nobody can set; where the wall clock, in which
 * ends are written, was set forward meanwhile, the database refuses and the next try is anew.
 */
export function contexts(options: ContextOptions): Contexts {
  const signing = deriveSigningKey(options.secret)
  // As text, the form in which all parameters of the context statement travel.
  const share = `\\x${deriveKeyShare(options.secret).toString('hex')}`
  const { contextTtl, credentialTtl } = options
  let cache = new LruMap<string, { statement: ContextStatement; until: number }>(REMEMBERED)
  let { audience, keyShare } = options
  /** Whether an error said that what is known of the share may no longer hold. */
  let doubted = false
  let pending: Promise<void> | undefined

  const mint = (who: Identity, lifetime: number): string => {
    if (audience === undefined) {
      throw new TenantryError('TN_CONFIG', 'The audience is not known yet.')
    }
    const expiresAt = Math.ceil(Date.now() / 1000) + lifetime
    return mintCredential(signing, who, { audience, expiresAt })
  }

  const remember = (key: string, statement: ContextStatement, since: number, ttl: number): void => {
    // Renewed early, so that a call does not fail because it waited for a connection.
    cache.set(key, { statement, until: since + 1000 * (ttl - Math.min(10, ttl / 4)) })
  }

  const prepare = (client: RawClient): Promise<void> => {
    // Somebody else asks already; should their connection fail, this one may do better.
    if (pending) return pending.catch(() => (ready() ? undefined : prepare(client)))
    pending = fetchWishes(client)
      .then((wishes) => {
        audience ??= wishes.audience
        doubted = false
        const wanted = options.keyShare ?? wishes.keyShare
        // Statements that were made without the share are of no use from here on.
        if (keyShare !== undefined && wanted !== keyShare) cache = new LruMap(REMEMBERED)
        keyShare = wanted
      })
      .finally(() => {
        pending = undefined
      })
    return pending
  }

  const ready = (): boolean => audience !== undefined && keyShare !== undefined && !doubted
  const enter = (credential: string): ContextStatement =>
    keyShare ? statementOf(ENTER_WITH_SHARE, [credential, share]) : statementOf(ENTER, [credential])

  return {
    get ready() {
      return ready()
    },
    prepare,
    statement(who) {
      const key = identityKey(who)
      const now = performance.now()
      const known = cache.get(key)
      if (known && now < known.until) return known.statement
      if (contextTtl === 0) {
        const statement = enter(mint(who, credentialTtl))
        remember(key, statement, now, credentialTtl)
        return statement
      }
      // A pass ends with the credential it was given for, so that one is made to outlast it.
      const credential = mint(who, Math.max(credentialTtl, contextTtl + 10))
      const [text, values] = keyShare
        ? [ENTER_FOR_PASS_WITH_SHARE, [credential, String(contextTtl), share]]
        : [ENTER_FOR_PASS, [credential, String(contextTtl)]]
      return statementOf(text, values, (pass) =>
        // Counted from before the request, so that it ends here before it ends there.
        remember(key, enter(pass), now, contextTtl),
      )
    },
    forget(who) {
      cache.delete(identityKey(who))
    },
    noteError(error) {
      // Perhaps the database got its master key after this pool began.
      if (options.keyShare === undefined && keyShare === false && codeOf(error) === 'TN005') {
        doubted = true
      }
    },
  }
}

/** What ended early, was voided by an admin, or was signed under an older key. */
export function isRefused(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'TN002' || code === 'TN003' || code === 'TN008'
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code
}

function statementOf(
  text: string,
  values: readonly string[],
  onValue?: (value: string) => void,
): ContextStatement {
  let frame: Buffer | undefined
  return {
    text,
    values,
    kept: onValue === undefined,
    onValue,
    frame: () => (frame ??= statementFrame(text, values)),
  }
}

interface Wishes {
  readonly audience: string
  readonly keyShare: boolean
}

async function fetchWishes(client: RawClient): Promise<Wishes> {
  const ask = async (text: string): Promise<Wishes> => {
    const { rows } = await client.query({ text, rowMode: 'array', queryMode: 'extended' })
    const [audience, keyShare] = (rows as unknown as unknown[][])[0] ?? []
    return { audience: String(audience), keyShare: keyShare === true }
  }
  try {
    return await ask('select tenantry.audience(), tenantry.wants_key_share()')
  } catch (error) {
    if (codeOf(error) !== '42883') throw contextError(error)
    // An installation from before secrets has none, and wants no share.
    return ask('select tenantry.audience()').catch((older: unknown) => {
      throw contextError(older)
    })
  }
}
