import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Stage, attempt, inTurn, nameOf, stage } from './support/stage.js'
import { type ProtectedTable, protectedTables } from './support/tables.js'

function trueKeys(table: ProtectedTable, owner: string): string[] {
  return [...table.owners].filter(([, theirs]) => theirs === owner).map(([key]) => key)
}

// Each statement names every row: what it returns is what the caller could touch.
const statements: Record<string, (table: ProtectedTable) => string> = {
  select: ({ name, key }) => `select ${key} as key from ${name}`,
  'select for update': ({ name, key }) => `select ${key} as key from ${name} for update`,
  update: ({ name, key, columns }) =>
    `update ${name} set "${columns[0]}" = "${columns[0]}" returning ${key} as key`,
  'update of the owner': ({ name, key, owner }) =>
    `update ${name} set "${owner}" = "${owner}" returning ${key} as key`,
  delete: ({ name, key }) => `delete from ${name} returning ${key} as key`,
}

describe('every identity, in every protected table', () => {
  let on: Stage
  let tables: ProtectedTable[]
  beforeAll(async () => {
    on = await stage()
    tables = await protectedTables(on)
  })
  afterAll(() => on.db.drop())

  it('stands for every way to come in', () => {
    const ways = on.callers.map((caller) =>
      caller.actor === caller.principal ? caller.by : 'acting for another',
    )
    expect(new Set(ways)).toEqual(new Set(['credential', 'bound role', 'acting for another']))
    const { users, agents, sharedAgent } = on.truth.identities
    const served = on.callers.filter((caller) => caller.actor === sharedAgent.entity)
    expect(served.length).toBeGreaterThanOrEqual(users.length)
    for (const agent of agents) {
      expect(on.callers).toContainEqual({
        actor: agent.entity,
        principal: agent.owner,
        by: 'credential',
      })
    }
  })

  it('has rows of several owners in every table, so that there is something to see and to miss', () => {
    for (const table of tables) {
      const owners = new Set(table.owners.values())
      expect(owners.size, table.name).toBeGreaterThan(1)
      expect(on.callers.some((caller) => owners.has(caller.principal))).toBe(true)
    }
  })

  it.each(Object.keys(statements))('reaches exactly its own rows by %s', async (kind) => {
    const reached = new Map<string, Set<string>>()
    for (const caller of inTurn(on.callers, Object.keys(statements).indexOf(kind))) {
      await on.as(caller, async (client) => {
        for (const table of tables) {
          const sql = statements[kind]?.(table) ?? ''
          const { rows, code } = await attempt<{ key: string }>(client, sql)
          expect(code, `${sql} as ${nameOf(caller)}`).toBe('00000')
          const found = rows.map((row) => row.key).sort()
          const expected = trueKeys(table, caller.principal).sort()
          expect(found, `${table.name} as ${nameOf(caller)}`).toEqual(expected)
          const keys = reached.get(table.name) ?? new Set()
          found.forEach((key) => keys.add(key))
          reached.set(table.name, keys)
        }
      })
    }
    // The control: what nobody reached would make the comparison above easy.
    for (const table of tables) {
      expect(reached.get(table.name)?.size, table.name).toBe(new Set(table.owners.keys()).size)
    }
  })

  it('is shown no row by naming a stranger’s', async () => {
    const direct = on.callers.filter(({ by }) => by === 'credential')
    for (const caller of inTurn(direct, 0)) {
      await on.as(caller, async (client) => {
        for (const table of tables) {
          const foreign = [...table.owners].find(([, owner]) => owner !== caller.principal)?.[0]
          for (const sql of [
            `select from ${table.name} where ${table.key} = $1`,
            `update ${table.name} set "${table.owner}" = "${table.owner}" where ${table.key} = $1 returning 1`,
            `delete from ${table.name} where ${table.key} = $1 returning 1`,
          ]) {
            expect(await attempt(client, sql, [foreign]), `${sql} as ${nameOf(caller)}`).toEqual({
              rows: [],
              code: '00000',
            })
          }
        }
      })
    }
  })

  it('sees and touches nothing without a context', async () => {
    await on.asNobody(async (client) => {
      for (const table of tables) {
        for (const [kind, statement] of Object.entries(statements)) {
          const result = await attempt(client, statement(table))
          expect(result, `${kind} ${table.name}`).toEqual({ rows: [], code: '00000' })
        }
      }
    })
  })
})
