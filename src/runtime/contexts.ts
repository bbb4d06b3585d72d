import {
  credentialSource,
  deriveSigningKey,
  mintCredential,
  type CredentialSource,
} from '../credential.js'
import { contextError, TenantryError } from '../errors.js'
import { identityKey, type Identity } from '../identity.js'
import { LruMap } from './lru.js'
import type { RawClient } from './pg-internals.js'

/** The statement that enters the context of one identity, and what to do with its answer. */
export interface ContextStatement {
  readonly text: string
  readonly values: readonly string[]
  /** Set when the statement answers with a pass. */
  readonly onValue?: (value: string) => void
  /** Whether it enters by a pass, which the database may refuse while a credential still holds. */
  readonly byPass: boolean
}

/** Where context statements come from. */
export interface Contexts {
  /** Whether `statement` can be called: the audience is known. */
  readonly ready: boolean
  /** Asks the database for its audience, once per pool. */
  prepare(client: RawClient): Promise<void>
  /** The statement for the next transaction of `who`. */
  statement(who: Identity): ContextStatement
  /** Forgets the pass of `who`, after the database refused it. */
  dropPass(who: Identity): void
}

export interface ContextOptions {
  secret: string
  audience: string | undefined
  /** Seconds a credential lives. */
  credentialTtl: number
  /** Seconds a pass may be used again; 0: enter anew each time. */
  contextTtl: number
}

const ENTER = 'select tenantry.enter($1)'
const ENTER_FOR_PASS = 'select tenantry_private.enter_for_pass($1, $2)'
const PASSES = 10_000

export function contexts(options: ContextOptions): Contexts {
  const signing = deriveSigningKey(options.secret)
  const ttl = options.contextTtl
  const passes = new LruMap<string, { statement: ContextStatement; until: number }>(PASSES)
  let audience: string | undefined
  let credential: CredentialSource | undefined
  let pending: Promise<void> | undefined

  const useAudience = (name: string): void => {
    audience = name
    credential = credentialSource(signing, name, options.credentialTtl)
  }
  // A pass ends with the credential it was given for, so that one is made to outlast it.
  const lifetimeForPass = Math.max(options.credentialTtl, ttl + 10)
  if (options.audience !== undefined) useAudience(options.audience)

  return {
    get ready() {
      return credential !== undefined
    },
    prepare(client) {
      pending ??= fetchAudience(client)
        .then(useAudience)
        .finally(() => {
          pending = undefined
        })
      return pending
    },
    statement(who) {
      if (audience === undefined || !credential) {
        throw new TenantryError('TN_CONFIG', 'The audience is not known yet.')
      }
      if (ttl === 0) return { text: ENTER, values: [credential(who)], byPass: false }
      const key = identityKey(who)
      const now = performance.now()
      const pass = passes.get(key)
      if (pass && now < pass.until) return pass.statement
      return {
        text: ENTER_FOR_PASS,
        values: [
          mintCredential(signing, who, {
            audience,
            expiresAt: Math.ceil(Date.now() / 1000) + lifetimeForPass,
          }),
          String(ttl),
        ],
        byPass: false,
        onValue(value) {
          // Counted from before the request, so that it ends here before it ends there.
          const until = now + ttl * 1000 - Math.min(1000, ttl * 100)
          passes.set(key, { statement: { text: ENTER, values: [value], byPass: true }, until })
        },
      }
    },
    dropPass(who) {
      passes.delete(identityKey(who))
    },
  }
}

/** A pass that ended, was voided by an admin, or was signed under an older key. */
export function isPassRefused(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code
  return code === 'TN002' || code === 'TN003' || code === 'TN008'
}

async function fetchAudience(client: RawClient): Promise<string> {
  try {
    const { rows } = await client.query({
      text: 'select tenantry.audience()',
      rowMode: 'array',
      queryMode: 'extended',
    })
    return String((rows as unknown as unknown[][])[0]?.[0])
  } catch (error) {
    throw contextError(error)
  }
}
