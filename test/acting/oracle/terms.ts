// What graphs, model and database have in common: names, and nothing that decides.

export const privileges = ['select', 'insert', 'update', 'delete', 'decrypt', 'delegate'] as const
export type Privilege = (typeof privileges)[number]

export const kinds = ['user', 'org', 'agent', 'room', 'bot'] as const
export type Kind = (typeof kinds)[number]

/** An entity of a graph: its kind and its number there, such as `user:0`. */
export type Name = `${Kind}:${number}` | 'anonymous:anonymous'

export const anonymous = 'anonymous:anonymous'

/** The protected tables. */
export const tables = ['notes', 'ledgers', 'memories'] as const
export type Table = (typeof tables)[number]

/** `channels` keeps the roles of its members in a jsonb column. */
export const memberTables = ['org_members', 'org_parents', 'participants', 'channels'] as const
export type MemberTable = (typeof memberTables)[number]

/** Roles as they are declared for every membership table; `guest` is declared nowhere. */
export const declaredRoles = {
  owner: privileges,
  admin: ['select', 'insert', 'update', 'delete', 'delegate'],
  member: ['select', 'insert', 'update'],
  viewer: ['select'],
} as const satisfies Record<string, readonly Privilege[]>
export const roles = ['owner', 'admin', 'member', 'viewer', 'guest'] as const
export type Role = (typeof roles)[number]

export interface Born {
  readonly name: Name
  readonly owner: Name | null
  readonly acts: boolean
  /** The kinds that a bot serves. */
  readonly serves: readonly Kind[]
}

export interface Joining {
  readonly table: MemberTable
  /** For participants a user: the agent with the same number has the same id, and joins, too. */
  readonly member: Name
  readonly container: Name
  readonly role: Role
}

export interface Giving {
  readonly to: Name
  readonly privileges: readonly Privilege[]
  /** Null: the default, which is the principal. */
  readonly forEntity: Name | null
  readonly tables: readonly Table[] | null
  readonly redelegate: number
  /** In how many hours it ends. */
  readonly hours: number | null
}

/** The principal, who acts for it, who acts for that one … */
export type Chain = readonly Name[]

export type Step =
  | ({ readonly do: 'join' } & Joining)
  | { readonly do: 'leave'; readonly nth: number }
  | ({ readonly do: 'delegate'; readonly by: Chain } & Giving)
  | { readonly do: 'revoke' | 'expire'; readonly nth: number }
  | { readonly do: 'delete' | 'again'; readonly name: Name }
  /** Deleted and inserted again in one transaction. Not in random graphs: see examples.ts. */
  | { readonly do: 'renew'; readonly name: Name }
  | { readonly do: 'own'; readonly name: Name; readonly owner: Name }

export interface Row {
  readonly table: Table
  readonly owner: Name
  readonly room: Name | null
  readonly isPublic: boolean
}

/** What every identity tries, on both paths where there are two. */
export type Attempt =
  | ({ readonly do: 'insert' } & Row)
  | { readonly do: 'update body' | 'delete row'; readonly row: number }
  | { readonly do: 'update owner'; readonly row: number; readonly owner: Name }
  | { readonly do: 'update room'; readonly row: number; readonly room: Name | null }
  | ({ readonly do: 'join' } & Joining)
  | { readonly do: 'change role'; readonly nth: number; readonly role: Role }
  | { readonly do: 'move'; readonly nth: number; readonly other: number }
  | { readonly do: 'remove member'; readonly nth: number }
  | { readonly do: 'revoke'; readonly nth: number }
  | { readonly do: 'update actor'; readonly row: number }
  | ({ readonly do: 'delegate' } & Giving)

export interface Graph {
  readonly entities: readonly Born[]
  readonly steps: readonly Step[]
  readonly rows: readonly Row[]
  readonly attempts: readonly Attempt[]
  /** Chains of three to ask about besides those that follow links. */
  readonly chains: readonly Chain[]
}

export function kindOf(name: Name): Kind | 'anonymous' {
  return name.slice(0, name.indexOf(':')) as Kind | 'anonymous'
}

export function numberOf(name: Name): number {
  return Number(name.slice(name.indexOf(':') + 1))
}
