import type {
  JSDocStructure,
  OptionalKind,
  PropertySignatureStructure,
  StatementStructures,
} from 'ts-morph'
import type { suffixes, TableModel } from '../model.js'
import { literal } from './literals.js'
import { exportedInterface } from './statements.js'

export type Property = OptionalKind<PropertySignatureStructure>

type Suffix = (typeof suffixes)[number]

/** What an interface of a table holds; null where the table has none. */
type Properties = (table: TableModel) => Property[] | null

/** The interface a table goes by: on the reach path the table's own, where it is the same. */
export function derivedType(
  table: TableModel,
  suffix: Suffix,
  properties: Properties,
): string | null {
  const own = properties(table)
  if (own === null) return null
  const inherited = table.base && properties(table.base)
  const same = inherited && differences(own, inherited).same
  return `${same ? table.base.stem : table.stem}${suffix}`
}

/** The interface itself: on the reach path what differs from the table's own, if anything does. */
export function derivedInterface(
  table: TableModel,
  suffix: Suffix,
  properties: Properties,
  docs: OptionalKind<JSDocStructure>[],
): StatementStructures[] {
  const own = properties(table)
  if (own === null) return []
  const declaration = { name: `${table.stem}${suffix}`, docs }
  const inherited = table.base && properties(table.base)
  if (!inherited) return [exportedInterface({ ...declaration, properties: own })]
  const { same, added, left } = differences(own, inherited)
  if (same) return []
  const base = `${table.base.stem}${suffix}`
  const names = left.map(({ name }) => (/^['"]/.test(name) ? name : literal(name)))
  return [
    exportedInterface({
      ...declaration,
      extends: [left.length > 0 ? `Omit<${base}, ${names.join(' | ')}>` : base],
      properties: added,
    }),
  ]
}

function differences(
  own: readonly Property[],
  inherited: readonly Property[],
): { same: boolean; added: Property[]; left: readonly Property[] } {
  const key = ({ name, type, hasQuestionToken }: Property): string =>
    JSON.stringify([name, type, hasQuestionToken ?? false])
  const kept = new Set(own.map(key))
  const known = new Set(inherited.map(key))
  const added = own.filter((property) => !known.has(key(property)))
  const left = inherited.filter((property) => !kept.has(key(property)))
  return { same: added.length === 0 && left.length === 0, added, left }
}
