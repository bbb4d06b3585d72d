import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { table } from '../../src/cli/table.js'
import { identity, tenantry } from '../../src/index.js'
import { fixturePath } from '../fixtures/elizaos/generator.js'
import type { Checks } from './checks.js'
import type { Stage } from './stage.js'

const user = identity('user')
const agent = identity('agent')

/**
 * A group room of two people, what its members reach, an agent and the shared agent in it, a
 * delegation and its end.
 */
export async function groupRoom(stage: Stage, checks: Checks, width: number): Promise<string> {
  const { ordinary: host, heavy: guest, agents, sharedAgent } = stage.truth.identities
  await stage.db.admin.query(readFileSync(fixturePath('rooms.sql'), 'utf8'))
  const db = tenantry(new pg.Pool({ connectionString: stage.app.url, max: 4 }), {
    secret: stage.secret,
  })
  const own = agents.find(({ owner }) => owner === guest.entity) ?? sharedAgent
  const [room, face, memory] = [randomUUID(), randomUUID(), randomUUID()]
  const lines: [string, string][] = []
  const line = (what: string, outcome: string, held: boolean): void => {
    lines.push([what, `${outcome} ${checks.holds(what, held)}`])
  }
  const asHost = db.as(user(host.id))
  const asGuest = db.as(user(guest.id))
  const reached = async (session: ReturnType<typeof db.as>): Promise<number> =>
    (await session.query('select from reach.memories where id = $1', [memory])).rowCount ?? 0
  try {
    await asGuest.query(`insert into entities (id, agent_id) values ($1, $2)`, [
      face,
      sharedAgent.id,
    ])
    await asHost.query(
      `insert into rooms (id, agent_id, source, type) values ($1, $2, 'demo', 'GROUP')`,
      [room, sharedAgent.id],
    )
    await asHost.query(
      `insert into memories (id, type, content, agent_id, room_id) values ($1, 'messages', '{"text": "hello, group"}', $2, $3)`,
      [memory, sharedAgent.id, room],
    )
    line(
      `${guest.name}, not in the room, reads its memories`,
      'none',
      (await reached(asGuest)) === 0,
    )

    const join = (session: ReturnType<typeof db.as>) =>
      codeOf(
        session.query(
          `insert into participants (owner_id, entity_id, room_id) values (default, $1, $2)`,
          [face, room],
        ),
      )
    line(`${guest.name} joins by inserting a row`, 'refused', (await join(asGuest)) === '42501')
    line(`${host.name}, whose room it is, adds ${guest.name}`, 'done', (await join(asHost)) === '')
    line(`${guest.name} reads the room’s memories`, 'the one', (await reached(asGuest)) === 1)
    line(
      `the agent of ${guest.name} reads them for ${guest.name}`,
      'the one',
      (await reached(db.as(agent(own.id), { for: user(guest.id) }))) === 1,
    )
    line(
      `the shared agent for ${guest.name}, in one call`,
      'the one',
      (await reached(db.as(agent(sharedAgent.id), { for: user(guest.id) }))) === 1,
    )
    line(
      `the table itself, as ${guest.name}`,
      'none: not a row of their own',
      (await asGuest.query('select from memories where id = $1', [memory])).rowCount === 0,
    )
    const why = await asGuest.query<{ explanation: string }>(
      'select explanation from tenantry.why($1, $2)',
      ['memories', memory],
    )
    line('why()', short(why.rows[0]?.explanation ?? ''), why.rows.length === 1)
    await asHost.query('delete from participants where room_id = $1', [room])
    line(
      `${host.name} takes ${guest.name} out`,
      'none from the next statement on',
      (await reached(asGuest)) === 0,
    )

    const acting = db.as(user(guest.id), { for: user(host.id) })
    line(
      `${guest.name} works for ${host.name}`,
      'refused',
      (await codeOf(acting.query('select from memories'))) === 'TN004',
    )
    await asHost.query('select tenantry.delegate($1, $2)', [guest.entity, ['select']])
    line(
      `${host.name} lets ${guest.name} read their rows`,
      'every one',
      ((await acting.query('select from memories')).rowCount ?? 0) > 0,
    )
    line(
      '… and not write them',
      'none',
      (await acting.query(`update memories set type = 'x'`)).rowCount === 0,
    )
    await asHost.query('select tenantry.revoke(to_entity => $1)', [guest.entity])
    line(
      `${host.name} revokes it`,
      'refused again',
      (await codeOf(acting.query('select from memories'))) === 'TN004',
    )
    return table(['what', 'outcome'], lines, width)
  } finally {
    await db.end()
  }
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return ''
  } catch (error) {
    return String(
      (error as { code?: unknown; sqlState?: unknown }).sqlState ??
        (error as { code?: unknown }).code,
    )
  }
}

/** Entities by their kind alone: uuids would fill the line. */
function short(explanation: string): string {
  return explanation.replaceAll(/:[0-9a-f]{4}([0-9a-f-]{32})/g, ' …')
}
