import { TenantryError } from './errors.js'

/** Anything that owns rows or acts, written `kind:id`. */
export type Entity<Kind extends string = string> = `${Kind}:${string}`

/** What an id may be given as: uuid and text as string, bigint keys as string, bigint or number. */
export type EntityId = string | number | bigint

/** Who acts (`actor`) and whose data is worked on (`principal`). */
export interface Identity {
  readonly actor: Entity
  readonly principal: Entity
  /** Whom the actor acts for, where that one acts for the principal in turn: nearest to the actor first. */
  readonly via?: readonly Entity[]
}

const KIND = /^[a-z][a-z0-9_]{0,62}$/
// The database refuses these, and no others (NUL cannot reach it at all).
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/
const LONE_SURROGATE = /\p{Surrogate}/u
const ID_MAX = 200
// As many actors as the database takes in one credential.
const ACTORS_MAX = 5

/**
 * Makes a constructor of entities of one kind: `const user = identity('user'); user(42)` gives
 * `'user:42'`.
 *
 * @param kind a kind registered in the database: a lower-case letter, then up to 62 lower-case
 *   letters, digits or underscores
 * @throws TenantryError `TN_IDENTITY_INVALID`, here for a bad kind, in the constructor for a bad id
 */
export function identity<const Kind extends string>(kind: Kind): (id: EntityId) => Entity<Kind> {
  assertKind(kind)
  return (id) => {
    const text = idText(id)
    assertId(text)
    return `${kind}:${text}`
  }
}

/**
 * Checks the text form of an entity by the rule the database has.
 *
 * @throws TenantryError `TN_IDENTITY_INVALID` with the reason
 */
export function parseEntity(text: unknown): { entity: Entity; kind: string; id: string } {
  if (typeof text !== 'string') throw invalid(`an entity is a string 'kind:id', not ${typeof text}`)
  const colon = text.indexOf(':')
  if (colon < 0) throw invalid(`an entity is written 'kind:id'; there is no colon in ${show(text)}`)
  const kind = text.slice(0, colon)
  const id = text.slice(colon + 1)
  assertKind(kind)
  assertId(id)
  return { entity: text as Entity, kind, id }
}

/**
 * Whoever nobody has said who they are: sees what `public_when` makes public, by `reach`, and nothing
 * else. Exists in a database where a table was protected with `public_when`.
 */
export function anonymous(): Entity<'anonymous'> {
  return 'anonymous:anonymous'
}

/**
 * The identity of somebody who works on their own data, or on that of whom they act for: one entity,
 * or several, each of which acts for the next one, the last of them being the principal.
 *
 * @throws TenantryError `TN_IDENTITY_INVALID`
 */
export function identityOf(actor: Entity, actsFor: Entity | readonly Entity[] = []): Identity {
  const given: readonly Entity[] = [actor, ...(isList(actsFor) ? actsFor : [actsFor])]
  for (const entity of given) parseEntity(entity)
  // Who acts for himself adds nothing.
  const chain = given.filter((entity, place) => entity !== given[place - 1])
  if (chain.length > ACTORS_MAX + 1) {
    throw invalid(`a chain has at most ${ACTORS_MAX} who act; this one has ${chain.length - 1}`)
  }
  const via = Object.freeze(chain.slice(1, -1))
  return Object.freeze({ actor, principal: chain.at(-1)!, ...(via.length > 0 && { via }) })
}

/** Who is there first, the principal last; one entity where it works for itself. */
export function chainOf({ actor, via = [], principal }: Identity): readonly Entity[] {
  return via.length === 0 && actor === principal ? [actor] : [actor, ...via, principal]
}

/** Whether both name the same actor and principal, by the same links. */
export function sameIdentity(a: Identity, b: Identity): boolean {
  return a === b || identityKey(a) === identityKey(b)
}

/** A key for caches. Entities hold no control characters, so the separator is unambiguous. */
export function identityKey(who: Identity): string {
  // Asked for with every call, and most act for nobody.
  return who.via === undefined && who.actor === who.principal ? who.actor : chainOf(who).join('\n')
}

/** An identity for people: `agent:1 for user:2`. */
export function described(who: Identity): string {
  return chainOf(who).join(' for ')
}

function isList(value: Entity | readonly Entity[]): value is readonly Entity[] {
  return Array.isArray(value)
}

function assertKind(kind: string): void {
  if (!KIND.test(kind)) {
    throw invalid(
      `a kind is a lower-case letter and up to 62 letters, digits or underscores, not ${show(kind)}`,
    )
  }
}

function assertId(id: string): void {
  // The database counts characters, not UTF-16 units.
  const length = id.length > ID_MAX ? [...id].length : id.length
  if (length === 0) throw invalid('an id must not be empty')
  if (length > ID_MAX)
    throw invalid(`an id has at most ${ID_MAX} characters; this one has ${length}`)
  if (CONTROL.test(id)) throw invalid('an id must not contain control characters')
  // A lone surrogate would become U+FFFD in UTF-8, and two different ids would become one.
  if (LONE_SURROGATE.test(id)) throw invalid('an id must be well-formed Unicode')
}

function idText(id: EntityId): string {
  if (typeof id === 'string') return id
  if (typeof id === 'bigint') return id.toString()
  if (typeof id === 'number' && Number.isSafeInteger(id)) return String(id)
  throw invalid(`an id is a string, a bigint or a safe integer, not ${show(id)}`)
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

function invalid(reason: string): TenantryError {
  return new TenantryError('TN_IDENTITY_INVALID', `Not an identity: ${reason}.`)
}
