import { mkdtempSync, chmodSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Entity } from '../../src/identity.js'
import { outcome, refusal } from '../extension/support/stage.js'
import {
  begun,
  dump,
  endedWhileWaiting,
  fill,
  keyStage,
  keyStatus,
  newShare,
  opened,
  read,
  tokens,
  until,
} from './support/keys.js'
import { anna, bert, share, type SecretStage } from './support/stage.js'

// Rotating the master key: only data keys are wrapped anew, and both shares hold until it is finished.

let on: SecretStage

beforeEach(async () => {
  on = await keyStage()
  await fill(on)
})
afterEach(() => on.drop())

const rotate = (from: Buffer, to: Buffer, batch = 20000) =>
  on.setUp.query('call tenantry.rotate_master_key($1, $2, $3)', [from, to, batch])
const finish = (using: Buffer) =>
  on.setUp.query('select tenantry.finish_master_rotation($1)', [using])
const states = async () => (await keyStatus(on)).map((row) => (row as { state: string }).state)
const raw = () => on.stored('select id, token, email_index, xmin::text from vault order by id')
const found = (using: Buffer) =>
  on.holding(
    anna,
    async (client) =>
      (
        await client.query<{ id: number }>(
          `select id from tenant.vault where email_index = tenantry.blind_index(
             (select column_id from tenantry.encrypted_columns where column_name = 'email'), 'm7@x')`,
        )
      ).rows,
    using,
  )

async function newUser(last: string): Promise<Entity> {
  await on.db.admin.query(
    `insert into users values ('6f1c0000-0000-4000-8000-0000000000${last}', 'X')`,
  )
  return `user:6f1c0000-0000-4000-8000-0000000000${last}`
}
const keep = (who: Entity, id: number, using: Buffer) =>
  on.holding(
    who,
    (client) => client.query(`insert into vault (id, token) values ($1, 'kept')`, [id]),
    using,
  )

test('touches no row; both shares read, write and search until it is finished, then the old one does not', async () => {
  const rows = await raw()
  const before = await dump(on)
  await rotate(share, newShare, 1)
  expect(await raw()).toEqual(rows)
  expect(await states()).toEqual(['active', 'retiring'])
  for (const [i, valid] of [share, newShare].entries()) {
    expect(await on.holding(anna, read, valid)).toEqual(tokens)
    expect(await found(valid)).toEqual([{ id: 7 }])
    // Keys newly made with either share open with both.
    const who = await newUser(`c${i}`)
    await keep(who, 500 + i, valid)
    for (const other of [share, newShare])
      expect(await on.holding(who, read, other)).toEqual(['kept'])
  }
  // The same data keys, wrapped as the format says, under IVs of their own.
  const after = await dump(on)
  const [old, fresh] = [opened(before, share), opened(after, newShare)]
  expect(old.size).toBe(before.keys.length)
  expect(fresh.size).toBe(after.keys.length)
  for (const [number, key] of old) expect(fresh.get(number)).toEqual(key)
  const ivs = [...before.keys, ...after.keys].map(({ wrapped }) => wrapped!.toString('hex', 0, 16))
  expect(new Set(ivs).size).toBe(ivs.length)

  expect((await refusal(finish(share))).code).toBe('TN005')
  expect((await refusal(finish(Buffer.alloc(32, 9)))).code).toBe('TN005')
  await finish(newShare)
  expect(await states()).toEqual(['active'])
  expect((await refusal(on.holding(anna, read, share))).code).toBe('TN005')
  expect((await refusal(keep(anna, 60, share))).code).toBe('TN005')
  expect((await refusal(found(share))).code).toBe('TN005')
  expect(await on.holding(anna, read, newShare)).toEqual(tokens)
  expect(await on.holding(bert, read, newShare)).toEqual(tokens)
  expect(await found(newShare)).toEqual([{ id: 7 }])
  const { code, hint } = await refusal(finish(newShare))
  expect({ code, hint }).toEqual({
    code: 'TN011',
    hint: expect.stringContaining('rotate_master_key'),
  })
  // And back again, as it was.
  await rotate(newShare, share)
  await finish(share)
  expect(await on.holding(anna, read)).toEqual(tokens)
  expect(await on.check()).toEqual([])
})

test('ended, it opens to both shares, cannot be finished, and goes on; tells how far it is', async () => {
  for (let n = 0; n < 6; n += 1) await keep(await newUser(`d${n}`), 600 + n, share)
  const [last] = await on.stored<{ number: number }>(
    'select max(number) as number from tenantry_private.data_keys',
  )
  const lock = `select from tenantry_private.data_keys where number = ${last!.number} for update`
  await endedWhileWaiting(on, lock, 'call tenantry.rotate_master_key($1, $2, 2)', [share, newShare])
  expect(await keyStatus(on)).toMatchObject([
    { state: 'active', data_keys: 6 },
    { state: 'retiring', data_keys: 2 },
  ])
  for (const valid of [share, newShare]) {
    expect(await on.holding(anna, read, valid)).toEqual(tokens)
    expect(await found(valid)).toEqual([{ id: 7 }])
  }
  const { code, message, hint } = await refusal(finish(newShare))
  expect({ code, message }).toEqual({
    code: 'TN011',
    message: '3 keys are still wrapped by the old master key',
  })
  expect(hint).toContain('call tenantry.rotate_master_key')

  const notices: string[] = []
  on.setUp.on('notice', ({ message: text }) => void notices.push(text ?? ''))
  const holder = await on.db.admin.connect()
  await holder.query('begin')
  await holder.query(lock)
  const rotation = rotate(share, newShare)
  await until(
    on,
    `select from pg_stat_activity where query like 'call tenantry.rotate%' and wait_event_type = 'Lock'`,
  )
  await holder.query('select pg_sleep(2.1)')
  await holder.query('rollback')
  holder.release()
  await rotation
  expect(notices[0]).toMatch(/^rotate_master_key: 2 of 2 keys wrapped, \d+ keys\/s$/)
  expect(notices.at(-1)).toMatch(/^rotate_master_key: 2 keys wrapped; both shares are valid until/)
  await finish(newShare)
  expect(await on.holding(anna, read, newShare)).toEqual(tokens)
  expect(await on.check()).toEqual([])
})

test('is refused to whoever is no admin, lacks the share, or begins another meanwhile', async () => {
  const third = Buffer.alloc(32, 9)
  const call = 'call tenantry.rotate_master_key($1, $2)'
  expect((await refusal(on.app.pool().query(call, [share, newShare]))).code).toBe('42501')
  expect((await refusal(rotate(third, newShare))).code).toBe('TN005')
  for (const wrong of [null, Buffer.alloc(31)])
    expect((await refusal(on.setUp.query(call, [share, wrong]))).code).toBe('TN005')
  expect((await refusal(rotate(share, share))).code).toBe('TN011')
  expect((await refusal(rotate(share, newShare, 0))).code).toBe('TN011')
  expect(await states()).toEqual(['active'])

  await rotate(share, newShare)
  for (const [from, to] of [
    [share, third],
    [newShare, third],
    [newShare, share],
  ] as const) {
    const { code, message, hint } = await refusal(rotate(from, to))
    expect({ code, message }).toEqual({
      code: 'TN011',
      message: 'a rotation of the master key to another share is under way',
    })
    expect(hint).toContain('finish-rotation')
  }
  expect((await refusal(rotate(third, newShare))).code).toBe('TN005')
  await rotate(share, newShare)
  expect(await states()).toEqual(['active', 'retiring'])
  await finish(newShare)
  await rotate(newShare, third)
  await finish(third)
  expect(await on.holding(anna, read, third)).toEqual(tokens)
})

test('a transaction that began before it loses no key: it is waited for, or has to try again', async () => {
  const [early, late] = [await newUser('e1'), await newUser('e2')]
  const sessions = [
    await begun(on, early, 'isolation level repeatable read'),
    await begun(on, late, 'isolation level repeatable read'),
  ]
  for (const session of sessions) expect(await read(session)).toEqual([])
  await rotate(share, newShare)
  await sessions[0]!.query(`insert into vault (id, token) values (700, 'kept')`)
  const finishing = refusal(finish(newShare))
  await until(
    on,
    `select from pg_stat_activity where query like '%finish_master%' and wait_event_type = 'Lock'`,
  )
  await sessions[0]!.query('commit')
  expect((await finishing).message).toBe('1 keys are still wrapped by the old master key')
  await rotate(share, newShare)
  await finish(newShare)
  expect(await outcome(sessions[1]!, `insert into vault (id, token) values (701, 'lost')`)).toBe(
    '40001',
  )
  await sessions[1]!.query('rollback')
  expect(await on.holding(early, read, newShare)).toEqual(['kept'])
  await keep(late, 701, newShare)
  expect(await on.holding(late, read, newShare)).toEqual(['kept'])
})

test('lets the application write secrets while it waits or works', async () => {
  const writer = await begun(on, anna)
  await writer.query(`insert into vault (id, token) values (50, 'open')`)
  await rotate(share, newShare)
  await writer.query(`insert into vault (id, token) values (51, 'open')`)
  await writer.query('commit')
  await finish(newShare)
  expect((await on.holding(anna, read, newShare)).slice(-2)).toEqual(['open', 'open'])
})

test('a wrapped key put in another’s place stops it, and is not made valid', async () => {
  const swap = `update tenantry_private.data_keys k set wrapped = o.wrapped from tenantry_private.data_keys o where o.number <> k.number`
  await on.db.admin.query(swap)
  const { code, detail } = await refusal(rotate(share, newShare))
  expect({ code, detail }).toEqual({
    code: 'TN006',
    detail: expect.stringMatching(/^It is number \d+ of/),
  })
  await on.db.admin.query(swap)
  await rotate(share, newShare)
  await finish(newShare)
  expect(await on.holding(anna, read, newShare)).toEqual(tokens)
})

test('is not finished while the key file holds the old share', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-key-'))
  try {
    chmodSync(folder, 0o755)
    const file = join(folder, 'share')
    writeFileSync(file, share.toString('hex'))
    await on.db.admin.query(`select tenantry.set_key_provider('file', $1)`, [file])
    const person = await on.bound(anna)
    await rotate(share, newShare)
    expect(await read(person)).toEqual(tokens)
    for (const content of [share.toString('hex'), '']) {
      writeFileSync(file, content)
      expect((await refusal(finish(newShare))).message).toMatch(/key file .* new share/)
    }
    writeFileSync(file, newShare.toString('hex'))
    expect(await read(person)).toEqual(tokens)
    await finish(newShare)
    expect(await read(person)).toEqual(tokens)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
