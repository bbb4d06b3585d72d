import type pg from 'pg'
import { deriveKeyShare } from '../../../src/credential.js'
import type { Entity } from '../../../src/identity.js'
import { testDatabase } from '../../support/database.js'
import { inTransaction, stage, type Stage } from '../../extension/support/stage.js'
import { sharedAgentId } from '../../fixtures/elizaos/generator.js'
import { elizaosTemplate } from '../../fixtures/elizaos/template.js'
import { chainCredential, type Chain } from './stage.js'

const id = (end: string): string => `e1120000-0000-4000-8000-${end.padStart(12, '0')}`

/** A person of the rooms: the user, the entity they appear as, and an agent of theirs. */
export interface Face {
  readonly name: string
  readonly id: string
  readonly user: Entity
  readonly entity: string
  readonly agentId: string
  readonly agent: Entity
}
const face = (name: string, n: string): Face => ({
  name,
  id: id(n),
  user: `user:${id(n)}`,
  entity: id(`e${n}`),
  agentId: id(`a${n}`),
  agent: `agent:${id(`a${n}`)}`,
})

/** As in elizaOS's own suite: Alice is in room 1, Bob in both, Charlie in room 2; Dora in none. */
export const alice = face('alice', '1')
export const bob = face('bob', '2')
export const charlie = face('charlie', '3')
export const dora = face('dora', '4')
export const people = [alice, bob, charlie, dora]
export const sharedAgent: Entity = `agent:${sharedAgentId}`
/** Alice owns room 1, Bob room 2, and each has one that nobody else is in. */
export const rooms = { one: id('f1'), two: id('f2'), alices: id('f3'), bobs: id('f4') }
/** The application's share of the master key. */
export const share = deriveKeyShare('the share of the rooms, long enough for anybody')

export interface RoomStage extends Stage {
  /** One transaction of the application's login under a chain, principal first; rolled back. */
  trying<T>(chain: Chain, work: (client: pg.Client) => Promise<T>): Promise<T>
  /** The same, committed. */
  under<T>(chain: Chain, work: (client: pg.Client) => Promise<T>): Promise<T>
  /** The first column of what a query returns. */
  column(chain: Chain, query: string, values?: unknown[]): Promise<unknown[]>
}

/** The fixture with rooms.sql, and in it four people of whom everything is known. */
export async function roomStage(): Promise<RoomStage> {
  const on = await stage(await testDatabase({ template: elizaosTemplate({ rooms: true }) }))
  await on.db.admin.query(population())
  const client = await on.app.connect()
  const within =
    (ending: 'commit' | 'rollback'): RoomStage['under'] =>
    (chain, work) =>
      inTransaction(
        client,
        async () => {
          const credential = chainCredential(on.db.name, chain)
          await client.query('select tenantry.enter($1, $2)', [credential, share])
          return work(client)
        },
        ending,
      )
  const under = within('commit')
  return {
    ...on,
    under,
    trying: within('rollback'),
    async column(chain, query, values = []) {
      const { rows } = await under(chain, (c) => c.query({ text: query, values, rowMode: 'array' }))
      return rows.map((row: unknown[]) => row[0])
    },
  }
}

function population(): string {
  const faces = people
    .map(
      (p) => `
    insert into users (id, name) values ('${p.id}', '${p.name}');
    insert into agents (id, owner_id, name, settings)
      values ('${p.agentId}', '${p.id}', 'agent of ${p.name}', '{"secrets": {"KEY": "secret of ${p.name}"}}');
    insert into entities (id, owner_id, agent_id) values ('${p.entity}', '${p.id}', '${sharedAgentId}');
    insert into cache (key, agent_id, value) values ('kept', '${p.agentId}', '"by the agent of ${p.name}"');
    insert into message_servers (id, owner_id, name, source_type) values ('${p.agentId}', '${p.id}', '${p.name}', 'x');
    insert into message_server_agents (message_server_id, agent_id, owner_id) values ('${p.agentId}', '${p.agentId}', '${p.id}');
    insert into user_characters (organization_id, user_id, name, bio, character_data, secrets)
      select o.id, '${p.id}', '${p.name}', '[]', '{}', '{}' from organizations o limit 1;`,
    )
    .join('')
  const room = (key: keyof typeof rooms, owner: Face, members: Face[]): string => `
    insert into rooms (id, owner_id, agent_id, source, type, name)
      values ('${rooms[key]}', '${owner.id}', '${sharedAgentId}', 'test', '${members.length > 1 ? 'GROUP' : 'DM'}', '${key}');
    ${members.map((m) => `insert into participants (owner_id, entity_id, room_id) values ('${owner.id}', '${m.entity}', '${rooms[key]}');`).join('')}`
  const says = (who: Face, key: keyof typeof rooms, type: string, role = ''): string => `
    insert into memories (id, owner_id, type, content, entity_id, agent_id, room_id, metadata)
      values (gen_random_uuid(), '${who.id}', '${type}', '{"text": "${who.name} in ${key}${type === 'documents' ? ', a document' : ''}"}',
              '${who.entity}', '${sharedAgentId}', '${rooms[key]}', '${role}'::jsonb);`
  const log = (who: Face, key: keyof typeof rooms): string => `
    insert into logs (owner_id, entity_id, room_id, type, body) values ('${who.id}', '${who.entity}', '${rooms[key]}', 'x', '"${who.name} in ${key}"');`
  const document = '{"type": "document", "timestamp": 1, "role": "OWNER"}'
  return [
    faces,
    room('one', alice, [alice, bob]),
    room('two', bob, [bob, charlie]),
    room('alices', alice, [alice]),
    room('bobs', bob, [bob]),
    ...[
      says(alice, 'one', 'messages', '{}'),
      says(bob, 'one', 'messages', '{}'),
      says(bob, 'two', 'messages', '{}'),
      says(charlie, 'two', 'messages', '{}'),
      says(alice, 'one', 'documents', document),
      says(charlie, 'two', 'documents', document),
    ],
    ...[log(alice, 'one'), log(bob, 'one'), log(alice, 'alices'), log(bob, 'bobs')],
  ].join('')
}
