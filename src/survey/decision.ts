import type { RelationInfo } from '../../codegen/snapshot.js'
import type { Alternative, TableClass } from './model.js'
import type { OwnedTable } from './owners.js'

/** What one table is found to be, before locks, warnings and times are added. */
export interface Decision {
  readonly table: RelationInfo
  readonly class: TableClass
  readonly reason: string
  readonly statements: readonly string[]
  readonly alternatives: readonly Alternative[]
  readonly notes: readonly string[]
  /** How rows get their owner, for the tables below and for the cost. */
  readonly owned: OwnedTable | null
}
