import type { RelationInfo, RelationRef } from '../../codegen/snapshot.js'

/** What the survey proposes a table to be. */
export type TableClass =
  'owned' | 'by parent' | 'many-to-many' | 'shared' | 'exempt' | 'protected' | 'undecided'

/** A table whose ids are owners. */
export interface Kind {
  readonly kind: string
  readonly table: RelationInfo
  readonly idColumn: string
  /** The entity that owns an entity of this kind: a user's account. */
  readonly owner: { readonly column: string; readonly kind: string } | null
  /** Whether it may act for its owner. */
  readonly actsForOwner: boolean
  /** Entities of the main kind are the tenants: they own themselves. */
  readonly main: boolean
  readonly reason: string
  /** Whether tenantry knows it already. */
  readonly registered: boolean
}

/** Something else that could be done with a table, shown as a comment. */
export interface Alternative {
  readonly statements: readonly string[]
  readonly reason: string
}

/** The survey's answer for one table. */
export interface Proposal {
  readonly table: RelationInfo
  /** Size on disk, indexes and partitions included. */
  readonly bytes: number
  readonly class: TableClass
  readonly reason: string
  readonly statements: readonly string[]
  readonly alternatives: readonly Alternative[]
  readonly warnings: readonly string[]
  readonly notes: readonly string[]
  readonly cost: Cost | null
}

/** What carrying a proposal out takes. */
export interface Cost {
  readonly locks: readonly string[]
  readonly seconds: number
}

/** A view that would go on showing every row, or none, once its tables are protected. */
export interface ViewProposal {
  readonly view: RelationRef
  readonly reason: string
  readonly statements: readonly string[]
}

/** The survey of a whole database. */
export interface Survey {
  readonly database: string
  readonly kinds: readonly Kind[]
  readonly proposals: readonly Proposal[]
  readonly views: readonly ViewProposal[]
  readonly setup: readonly { readonly reason: string; readonly statements: readonly string[] }[]
  readonly warnings: readonly string[]
}
