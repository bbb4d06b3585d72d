import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { open, fromText } from './format/sealed-value.js'
import {
  begun,
  dump,
  fill,
  keyStage,
  newShare,
  opened,
  read,
  tokens,
  until,
  type Dump,
} from './support/keys.js'
import { anna, bert, share, type SecretStage } from './support/stage.js'

let on: SecretStage

beforeAll(async () => {
  on = await keyStage()
})
afterAll(() => on.drop())
beforeEach(() => fill(on))

const shred = async (reason = 'asked to be forgotten') =>
  (
    await on.setUp.query<{ keys: number; still_readable: string }>(
      'select * from tenantry.shred($1, $2)',
      [bert, reason],
    )
  ).rows[0]!
const nothing = tokens.map(() => null)

test('is for admins, of an entity that is known, with a reason', async () => {
  for (const reason of ['', '  ']) expect((await refusal(shred(reason))).code).toBe('TN011')
  const unknown = on.setUp.query(`select * from tenantry.shred('user:nobody', 'x')`)
  expect((await refusal(unknown)).code).toBe('TN009')
  const byApp = on.app.pool().query(`select * from tenantry.shred($1, 'x')`, [bert])
  expect((await refusal(byApp)).code).toBe('42501')
  expect(await on.holding(bert, read)).toEqual(tokens)
})

test('takes secrets away at once, also from open sessions; lets new ones be written; says what remains', async () => {
  const session = await begun(on, bert)
  expect(await read(session)).toEqual(tokens)
  const { keys, still_readable: remains } = await shred()
  expect(keys).toBe(1)
  for (const place of ['Backups', 'WAL', 'vacuum full', 'rotate the master key', 'Blind indexes'])
    expect(remains).toContain(place)
  expect(await read(session)).toEqual(nothing)
  await session.query('commit')
  expect(await on.holding(anna, read)).toEqual(tokens)
  await on.holding(bert, (client) => client.query(`update vault set token = 'new' where id = 101`))
  expect(await on.holding(bert, read)).toEqual(['new', ...nothing.slice(1)])
  // Rotating data keys leaves alone what nobody can open.
  await on.setUp.query('call tenantry.rotate_data_keys($1)', [share])
  expect(await on.holding(bert, read)).toEqual(['new', ...nothing.slice(1)])
  expect(await on.holding(anna, read)).toEqual(tokens)
  expect((await shred()).keys).toBe(2)
  expect(await on.holding(bert, read)).toEqual(nothing)
  expect((await shred()).keys).toBe(0)
  expect(await on.check()).toEqual([])
})

test('a REPEATABLE READ transaction goes on reading until it ends; READ COMMITTED stops at once', async () => {
  const [snapshot, current] = [
    await begun(on, bert, 'isolation level repeatable read'),
    await begun(on, bert, 'isolation level read committed'),
  ]
  for (const session of [snapshot, current]) expect(await read(session)).toEqual(tokens)
  expect((await shred()).keys).toBe(1)
  expect(await read(current)).toEqual(nothing)
  expect(await read(snapshot)).toEqual(tokens)
  for (const session of [snapshot, current]) await session.query('commit')
  expect(await on.holding(bert, read)).toEqual(nothing)
})

test('waits for a transaction that is writing secrets of the entity', async () => {
  const writer = await begun(on, bert)
  await writer.query(`insert into vault (id, token) values (150, 'in time')`)
  const shredded = shred()
  await until(
    on,
    `select from pg_stat_activity where query like '%tenantry.shred%' and wait_event_type = 'Lock'`,
  )
  await writer.query(`insert into vault (id, token) values (151, 'in time')`)
  expect(await read(writer)).toEqual([...tokens, 'in time', 'in time'])
  await writer.query('commit')
  expect((await shredded).keys).toBe(1)
  expect(await on.holding(bert, read)).toEqual([...nothing, null, null])
})

test('a rotation of the master key closes the epoch: only old dumps and the old secret open it', async () => {
  const before = await dump(on)
  await shred()
  await on.setUp.query('call tenantry.rotate_master_key($1, $2)', [share, newShare])
  await on.setUp.query('select tenantry.finish_master_rotation($1)', [newShare])
  const after = await dump(on)
  const [column] = await on.stored<{ id: string }>(
    `select column_id as id from tenantry.encrypted_columns where column_name = 'token'`,
  )
  const secrets = ({ vault, tagKey }: Dump, dataKeys: Map<number, Buffer>) =>
    vault
      .filter(({ owner }) => owner === bert)
      .map(({ id, owner, token }) => {
        const place = {
          columnId: column!.id,
          owner,
          primaryKey: [{ type: 'integer', text: `${id}` }],
        }
        const sealed = fromText(token)
        return dataKeys.has(sealed.readUInt32BE(1))
          ? open({ tagKey, dataKeys }, place, sealed).toString()
          : null
      })
  // The honest part: whoever kept a dump and the old secret still reads it all, the shredded with it.
  expect(secrets(before, opened(before, share))).toEqual(tokens)
  expect(secrets(after, opened(before, share))).toEqual(tokens)
  // With either alone there is nothing: the new secret, or a dump from now on.
  expect([...opened(before, newShare)]).toEqual([])
  expect([...opened(after, share)]).toEqual([])
  expect(opened(after, newShare).size).toBeGreaterThan(0)
  expect(secrets(after, opened(after, newShare))).toEqual(nothing)
  expect((await refusal(on.holding(bert, read, share))).code).toBe('TN005')
  expect(await on.holding(bert, read, newShare)).toEqual(nothing)
  expect(await on.holding(anna, read, newShare)).toEqual(tokens)
})
