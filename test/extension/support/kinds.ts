import type pg from 'pg'

export interface EntityRow {
  readonly id: string
  readonly owner: string | null
  readonly alive: boolean
}

/** What the registry knows of a kind, by id. */
export async function entitiesOf(
  admin: Pick<pg.ClientBase, 'query'>,
  kind: string,
): Promise<EntityRow[]> {
  const { rows } = await admin.query<EntityRow>(
    `select id, owner_kind || ':' || owner_id as owner, gone_at is null as alive
       from tenantry_private.entities where kind = $1 order by id collate "C"`,
    [kind],
  )
  return rows
}

/** The ids of the living entities of a kind. */
export async function living(admin: Pick<pg.ClientBase, 'query'>, kind: string): Promise<string[]> {
  return (await entitiesOf(admin, kind)).filter(({ alive }) => alive).map(({ id }) => id)
}

/** The number of this life of an entity. */
export async function serialOf(
  admin: Pick<pg.ClientBase, 'query'>,
  entity: string,
): Promise<string | undefined> {
  const { rows } = await admin.query<{ serial: string }>(
    `select serial from tenantry_private.entities where kind || ':' || id = $1`,
    [entity],
  )
  return rows[0]?.serial
}
