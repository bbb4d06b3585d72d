import type { SecretStage } from './stage.js'

/** A sealed value and where it lies, in the tables of binding.test.ts. */
export interface Place {
  readonly table: string
  readonly id: number
  readonly column: string
  /** As text, whatever the column. */
  readonly value: string
}

export const sealedValues = (stage: SecretStage) =>
  stage.stored<Place>(
    ['one', 'two']
      .map(
        (table) => `
    select '${table}' as table, id, c.column, c.value from ${table},
      lateral (values ('a', a), ('b', b), ('raw', 'tn1:' || translate(encode(raw, 'base64'), E'\\n', '')), ('doc', doc ->> 's')) as c ("column", value)`,
      )
      .join(' union all ') + ' order by 1, 2, 3',
  )

/** The statement that puts a value, given as text, into a place. */
export const plant = (place: Place, value: string): string => {
  const literal = `'${value}'`
  const assigned =
    place.column === 'raw'
      ? `raw = decode(substr(${literal}, 5), 'base64')`
      : place.column === 'doc'
        ? `doc = jsonb_set(doc, '{s}', to_jsonb(${literal}::text))`
        : `${place.column} = ${literal}`
  return `update ${place.table} set ${assigned} where id = ${place.id}`
}
