import type { RelationRef } from '../../codegen/snapshot.js'

/** `shoppingCarts` and `shopping_carts` are the same words: shopping, carts. */
export function words(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
}

/** The words of a name joined by underscores, the last one in the singular: `orderItems` → `order_item`. */
export function singular(name: string): string {
  const all = words(name)
  const last = all.pop() ?? ''
  return [...all, singularWord(last)].join('_')
}

function singularWord(word: string): string {
  if (/(ss|us|is)$/.test(word)) return word
  if (/ies$/.test(word)) return word.replace(/ies$/, 'y')
  if (/(sses|xes|ches|shes)$/.test(word)) return word.replace(/es$/, '')
  return word.replace(/s$/, '')
}

/** The words of a name joined by underscores: `accountId` → `account_id`. */
export function snake(name: string): string {
  return words(name).join('_')
}

/** `an account`, `a user`. */
export const withArticle = (noun: string): string => `${/^[aeio]/.test(noun) ? 'an' : 'a'} ${noun}`

/** `1 table`, `2 tables`. */
export const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

/** `schema.table`, as a key for maps and in messages. */
export function path(relation: RelationRef): string {
  return `${relation.schema}.${relation.name}`
}

/** An SQL string literal. */
export function literal(text: string): string {
  return text.includes('\\')
    ? `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`
}

const plain = /^[a-z_][a-z0-9_]*$/

/** An identifier, quoted where PostgreSQL needs it; keywords are quoted as well, to be safe. */
export function identifier(name: string): string {
  return plain.test(name) && !reserved.has(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** A schema-qualified, quoted name. */
export function qualified(relation: RelationRef): string {
  return `${identifier(relation.schema)}.${identifier(relation.name)}`
}

/** A table as the argument of a tenantry function: `'public."shoppingCarts"'`. */
export function target(relation: RelationRef): string {
  return literal(qualified(relation))
}

/** Column names as an array literal: `'{product_id,variant_no}'`. */
export function nameArray(names: readonly string[]): string {
  const element = (name: string) =>
    plain.test(name) && name !== 'null'
      ? name
      : `"${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  return literal(`{${names.map(element).join(',')}}`)
}

/** The words that PostgreSQL does not take as a bare table or column name. */
const reserved = new Set(
  (
    'all analyse analyze and any array as asc asymmetric authorization between binary both case cast ' +
    'check collate collation column concurrently constraint create cross current_catalog current_date ' +
    'current_role current_schema current_time current_timestamp current_user default deferrable desc ' +
    'distinct do else end except false fetch for foreign freeze from full grant group having ilike in ' +
    'initially inner intersect into is isnull join lateral leading left like limit localtime ' +
    'localtimestamp natural not notnull null offset on only or order outer overlaps placing primary ' +
    'references returning right select session_user similar some symmetric system_user table ' +
    'tablesample then to trailing true union unique user using variadic verbose when where window with'
  ).split(' '),
)
