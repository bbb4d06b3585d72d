import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entity } from '../../src/identity.js'
import { stringToUuid } from '../fixtures/elizaos/string-to-uuid.js'
import { elizaosTemplate } from '../fixtures/elizaos/template.js'
import { testDatabase } from '../support/database.js'
import { elizaos, type Elizaos, type RolledOut, rolledOut } from './support/elizaos.js'

// The real case: elizaOS before 1.6.5, dirty as years of releases left it, every table of it to strict.

let on: Elizaos

beforeAll(async () => {
  on = await elizaos()
})

afterAll(() => on.drop())

async function checksum({ name }: RolledOut): Promise<unknown> {
  const { rows } = await on.setUp.query<{ sum: unknown }>(
    'select tenantry.rollout_checksum($1) as sum',
    [name],
  )
  return rows[0]?.sum
}

/** What the database says of each row: its owner, null for none. */
async function owners(table: RolledOut): Promise<Map<string, string | null>> {
  const { rows } = await on.db.admin.query<{ key: string; owner: string | null }>(
    `select ${table.key} as key, '${table.ownerKind}:' || ${table.ownerColumn} as owner from ${table.name}`,
  )
  return new Map(rows.map(({ key, owner }) => [key, owner]))
}

/** Rows that the truth gives to somebody else, or that should have an owner or none. */
async function differences(table: RolledOut): Promise<string[]> {
  const found = await owners(table)
  const differing: string[] = []
  for (const { key, owner, reason } of on.truth.rows(table.before)) {
    const has = found.get(key)
    if (has !== owner)
      differing.push(`${key}: ${String(has)}, not ${String(owner)} ${reason ?? ''}`)
  }
  return differing
}

/** The keys of the rows that somebody sees on the own path. */
async function seen(table: RolledOut, who: Entity): Promise<string[]> {
  const rows = await on.as(who, async (client) => {
    const query = `select ${table.key} as key from ${table.name}`
    return (await client.query<{ key: string }>(query)).rows
  })
  return rows.map(({ key }) => key).sort()
}

async function everybodySeesTheirRows(): Promise<void> {
  const everybody = [
    ...[...on.truth.identities.users, on.truth.identities.platform].map(({ entity }) => entity),
    on.truth.identities.sharedAgent.entity,
    `org:${on.truth.identities.heavy.organizationId}`,
  ]
  for (const table of rolledOut) {
    const truth = [...on.truth.owners(table.before)]
    for (const who of everybody) {
      const own = truth.filter(([, owner]) => owner === who).map(([key]) => key)
      expect(await seen(table, who as Entity), `${table.name} as ${who}`).toEqual(own.sort())
    }
  }
}

describe('the later names', () => {
  test('ids of texts are made by the rule of elizaOS', async () => {
    const id = on.truth.identities.heavy.id
    const texts = [
      id,
      id.toUpperCase(),
      'local',
      '112233000000000003',
      `${id}:${id}`,
      `(it's~!*.-_)`,
      'ä €/%20 ?&=',
      '😀',
      '',
    ]
    const { rows } = await on.setUp.query<{ made: string[] }>(
      'select array(select elizaos.string_to_uuid(t)::text from unnest($1::text[]) with ordinality u (t, n) order by n) as made',
      [texts],
    )
    expect(rows[0]?.made).toEqual(texts.map((text) => stringToUuid(text).toLowerCase()))
  })

  test('columns are called and typed as in the later schema', async () => {
    const laterDb = await testDatabase({ template: elizaosTemplate({ schema: 'later' }) })
    const columns = async (db: Pick<Elizaos['db'], 'admin'>) =>
      (
        await db.admin.query<{ column: string }>(
          `select format('%s.%s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod)) as column
             from pg_attribute join pg_class c on c.oid = attrelid
            where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('public', 'todo') and attnum > 0 and not attisdropped
              and attname not in ('owner_id', 'tenantry_source') and relname not in ('owners', 'servers') order by 1`,
        )
      ).rows.map(({ column }) => column)
    const wanted = await columns(laterDb)
    await laterDb.drop()
    expect(wanted.length).toBeGreaterThan(100)
    expect(await columns(on.db)).toEqual(wanted)
  })

  test('servers keep their ids, other names get theirs, and an empty one names none', async () => {
    const { rows } = await on.db.admin.query<{ id: string | null }>(
      'select distinct message_server_id as id from (select message_server_id from worlds union select message_server_id from rooms) s order by 1',
    )
    const ids = rows.map(({ id }) => id)
    expect(ids).toContain(null)
    expect(ids).toContain(stringToUuid('local'))
    expect(ids).toContain('00000000-0000-0000-0000-000000000000')
    expect(ids).toHaveLength(
      3 + on.truth.identities.users.filter((_, index) => index % 3 === 0).length,
    )
  })
})

describe('every table of the earlier schema', () => {
  const sums = new Map<string, unknown>()

  test('gets the owners that the truth knows, and nothing else changes', async () => {
    for (const table of rolledOut) sums.set(table.name, await checksum(table))
    for (const table of rolledOut) {
      await on.to(table.name, 'backfilled')
      expect(await differences(table), table.name).toEqual([])
      expect(await checksum(table), table.name).toEqual(sums.get(table.name))
    }
  })

  test('has in quarantine exactly the rows that are undecidable', async () => {
    let undecidable = 0
    for (const table of rolledOut) {
      const { rows } = await on.db.admin.query<{ key: string }>(
        table.name === 'logs'
          ? `select t.id::text as key from tenantry.rollout_quarantine q join logs t on q.key = array[t.ctid::text, t.xmin::text] where q.relation = 'logs'::regclass`
          : `select array_to_string(key, '|') as key from tenantry.rollout_quarantine where relation = '${table.name}'::regclass`,
      )
      const constructed = [...on.truth.undecidable(table.before).keys()].sort()
      expect(rows.map(({ key }) => key).sort(), table.name).toEqual(constructed)
      undecidable += constructed.length
    }
    expect(undecidable).toBeGreaterThan(30)
  })

  test('shows new-style identities exactly their rows, and the old application all of them', async () => {
    for (const table of rolledOut) await on.to(table.name, 'transitional')
    await everybodySeesTheirRows()
    const legacy = await on.legacy.connect()
    for (const table of rolledOut) {
      const { rows } = await legacy.query<{ key: string }>(
        `select ${table.key} as key from ${table.name}`,
      )
      expect(rows.map(({ key }) => key).sort(), table.name).toEqual(
        [...on.truth.rows(table.before)].map(({ key }) => key).sort(),
      )
    }
  })

  test('does not close over rows that nobody has decided', async () => {
    for (const table of rolledOut) await on.to(table.name, 'verified')
    await expect(on.to('relationships', 'strict')).rejects.toMatchObject({ code: 'TN012' })
  })

  test('ends strict, when somebody has decided them', async () => {
    for (const table of rolledOut.filter(({ ownerColumn }) => ownerColumn === 'owner_id')) {
      // What the platform keeps is its own; what lies between several people has no owner.
      const platform = on.truth.identities.platform.entity
      const owner = ['relationships', 'rooms', 'channels'].includes(table.name) ? null : platform
      await on.setUp.query('select tenantry.rollout_resolve_where($1, $2, $3)', [
        table.name,
        owner,
        'true',
      ])
    }
    for (const table of [...rolledOut].reverse()) await on.to(table.name, 'strict')
    const { rows } = await on.setUp.query(
      `select relation::text, state from tenantry.rollout_status where state <> 'strict'`,
    )
    expect(rows).toEqual([])
    for (const table of rolledOut) {
      const { rows: off } = await on.db.admin.query(
        `select relname from pg_class where oid = '${table.name}'::regclass and not (relrowsecurity and relforcerowsecurity)`,
      )
      expect(off).toEqual([])
    }
    expect(await on.check('critical')).toEqual([])
  })

  test('and still shows everybody exactly their rows; nobody sees what has no owner', async () => {
    const decided = on.truth.identities.platform.entity
    for (const table of rolledOut) {
      const found = await owners(table)
      const undecidable = on.truth.undecidable(table.before)
      for (const [key, owner] of on.truth.owners(table.before)) {
        expect(found.get(key), `${table.name} ${key}`).toBe(owner)
      }
      for (const key of undecidable.keys()) expect([null, decided]).toContain(found.get(key))
      for (const { entity } of on.truth.identities.users) {
        const own = [...on.truth.owners(table.before)].filter(([, owner]) => owner === entity)
        expect(await seen(table, entity as Entity), `${table.name} as ${entity}`).toEqual(
          own.map(([key]) => key).sort(),
        )
      }
    }
  })
})
