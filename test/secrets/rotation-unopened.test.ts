import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { deriveKeyShare } from '../../src/credential.js'
import { cli } from '../cli/cli.js'
import { refusal } from '../extension/support/stage.js'
import { endedWhileWaiting, fill, keyStage, keyStatus, tokens } from './support/keys.js'
import { anna, bert, share, type SecretStage } from './support/stage.js'

// A value that does not open stops no rotation: it is left, reported, and what it may need is kept until it is mended.

let on: SecretStage

beforeAll(async () => {
  on = await keyStage()
})
afterAll(() => on.drop())
beforeEach(() => fill(on))

interface Notice {
  readonly severity?: string | undefined
  readonly message?: string | undefined
  readonly hint?: string | undefined
}

const rotate = async (batch = 7): Promise<Notice[]> => {
  const notices: Notice[] = []
  const listen = (notice: Notice) => void notices.push(notice)
  on.setUp.on('notice', listen)
  try {
    await on.setUp.query('call tenantry.rotate_data_keys($1, batch_size => $2)', [share, batch])
  } finally {
    on.setUp.off('notice', listen)
  }
  return notices
}
const warnings = (notices: readonly Notice[]) =>
  notices.filter(({ severity }) => severity === 'WARNING').map(({ message }) => message)

/** Past the triggers, as a superuser may. */
const past = (statement: string) =>
  on.db.admin.query(`begin; set local session_replication_role = replica;
    alter table vault disable trigger "~tenantry_seal_update"; ${statement};
    alter table vault enable always trigger "~tenantry_seal_update"; commit`)
const stored = async (id: number) =>
  (await on.stored<{ token: string }>(`select token from vault where id = ${id}`))[0]!.token
const readable = (who: typeof anna, but: readonly number[] = []) =>
  on.holding(who, async (client) => {
    const { rows } = await client.query<{ token: string }>(
      'select token from tenant.vault where id <> all ($1) order by id',
      [but],
    )
    return rows.map(({ token }) => token)
  })
const unopened = () =>
  on.stored(
    `select owner, rows::int, examples, key_number is not null as ours from tenantry.unopened_values order by 1, 4`,
  )
const superseded = async () => (await keyStatus(on))[0] as { superseded: number; retired: number }

test('it goes on with the others, says which rows it left, and keeps the keys of their owner alone', async () => {
  const [bits, ofBert] = [await stored(2), await stored(101)]
  const flipped = bits.slice(0, 60) + (bits[60] === 'A' ? 'B' : 'A') + bits.slice(61)
  await past(`update vault set token = 'planted' where id = 1;
    update vault set token = '${flipped}' where id = 2;
    update vault set token = 'planted' where id between 4 and 9`)
  const before = await superseded()
  const notices = await rotate()
  expect(warnings(notices)).toEqual([
    `rotate_data_keys: 8 values of public.vault.token do not open and were left as they are: ` +
      `id = '1'; id = '2'; id = '4'; id = '5'; id = '6'; …`,
  ])
  expect(notices.find(({ severity }) => severity === 'WARNING')?.hint).toMatch(
    /Write each anew as its owner.*call tenantry\.rotate_data_keys\(\) again/,
  )
  expect(notices.at(-1)?.message).toBe(
    'rotate_data_keys: 112 values sealed anew, 1 old keys retired, 8 values left that do not open',
  )
  expect(await unopened()).toEqual([
    {
      owner: anna,
      rows: 7,
      examples: [1, 4, 5, 6, 7].map((id) => `id = '${id}'`),
      ours: false,
    },
    { owner: anna, rows: 1, examples: [`id = '2'`], ours: true },
  ])
  expect(await superseded()).toMatchObject({ superseded: 1, retired: before.retired + 1 })
  // All else is sealed anew; the table is as it was.
  expect(await stored(1)).toBe('planted')
  expect(await stored(2)).toBe(flipped)
  const bad = [1, 2, 4, 5, 6, 7, 8, 9]
  expect(await readable(anna, bad)).toEqual(tokens.filter((_, i) => !bad.includes(i + 1)))
  expect(await readable(bert)).toEqual(tokens)
  expect(await on.stored('select from tenantry_private.engine_jobs')).toEqual([])
  // The old key of Anna is kept: what was flipped opens when it is put right. Bert's is not.
  await past(`update vault set token = '${bits}' where id = 2`)
  expect(
    await readable(
      anna,
      bad.filter((id) => id !== 2),
    ),
  ).toContain('token 2')
  await past(`update vault set token = '${ofBert}' where id = 101`)
  expect((await refusal(readable(bert))).code).toBe('TN006')
  await on.holding(bert, (client) => client.query(`delete from vault where id = 101`))

  // Called again it makes no newer key for Anna, and warns again as long as something is left.
  await on.holding(anna, (client) =>
    client.query(`update vault set token = 'token ' || id where id between 2 and 9`),
  )
  expect(warnings(await rotate())).toEqual([
    `rotate_data_keys: 1 values of public.vault.token do not open and were left as they are: id = '1'`,
  ])
  expect(await superseded()).toMatchObject({ superseded: 1 })
  await on.holding(anna, (client) => client.query(`update vault set token = null where id = 1`))
  expect(warnings(await rotate())).toEqual([])
  expect(await superseded()).toMatchObject({ superseded: 0 })
  expect(await unopened()).toEqual([])
  expect(await readable(anna, [1])).toEqual(tokens.slice(1))
  expect(await on.stored('select from tenantry_private.key_rotations')).toEqual([])
  expect(await on.check()).toEqual([])
})

test('the key that a value names is kept, too, so that it opens again where it belongs', async () => {
  const moved = await stored(105)
  await past(`update vault set token = '${moved}' where id = 5`)
  expect(warnings(await rotate())).toHaveLength(1)
  expect(await superseded()).toMatchObject({ superseded: 2 })
  await past(`update vault set token = '${moved}' where id = 105`)
  expect(await readable(bert)).toEqual(tokens)
  await on.holding(anna, (client) =>
    client.query(`update vault set token = 'token 5' where id = 5`),
  )
  expect(warnings(await rotate())).toEqual([])
  expect(await superseded()).toMatchObject({ superseded: 0 })
  expect(await readable(anna)).toEqual(tokens)
  expect(await readable(bert)).toEqual(tokens)
})

test('what it left before it was interrupted is not forgotten', async () => {
  await past(`update vault set token = 'planted', email = 'planted' where id = 3`)
  // Owner by owner: Anna's values are done when it comes to stand at Bert's.
  const held = `select from tenantry_private.data_keys where 'user:' || id = '${bert}' for update`
  await endedWhileWaiting(on, held, 'call tenantry.rotate_data_keys($1, $2, 10)', [share, anna])
  // Of whichever column came first.
  expect(await unopened()).toMatchObject([{ owner: anna, rows: 1 }])
  expect(warnings(await rotate())).toHaveLength(2)
  expect(await superseded()).toMatchObject({ superseded: 1 })
  await on.holding(anna, (client) => client.query('delete from vault where id = 3'))
  await rotate()
  expect(await superseded()).toMatchObject({ superseded: 0 })
})

test('rows whose owner is gone stop it no more than others', async () => {
  const cleo = 'user:6f1c0000-0000-4000-8000-00000000000c'
  await on.db.admin.query(`insert into users values ('${cleo.slice(5)}', 'Cleo')`)
  await on.holding(cleo, (client) =>
    client.query(`insert into vault (id, token) values (201, 'of Cleo')`),
  )
  await past(`delete from users where name = 'Cleo'`)
  expect(warnings(await rotate())).toEqual([
    `rotate_data_keys: 1 values of public.vault.token do not open and were left as they are: id = '201'`,
  ])
  expect(await unopened()).toMatchObject([{ owner: cleo, rows: 1 }])
  expect(await superseded()).toMatchObject({ superseded: 0 })
  expect(await readable(anna)).toEqual(tokens)
  await on.db.admin.query('delete from vault where id = 201')
})

test('what is left is listed for admins, and for nobody else', async () => {
  await past(`update vault set token = 'planted' where id = 1`)
  await rotate()
  const listing = `select relation::text, column_name, path, owner, examples from tenantry.unopened_values`
  expect((await on.setUp.query(listing)).rows).toEqual([
    { relation: 'vault', column_name: 'token', path: [], owner: anna, examples: [`id = '1'`] },
  ])
  expect((await refusal(on.app.pool().query(listing))).code).toBe('42501')
  await on.holding(anna, (client) => client.query('delete from vault where id = 1'))
  await rotate()
})

test('the command shows the warning, and does not say that all is done', async () => {
  const secret = 'a secret of these tests, long enough'
  // Until that is finished, either share is valid.
  await on.setUp.query('call tenantry.rotate_master_key($1, $2)', [share, deriveKeyShare(secret)])
  const command = () =>
    cli(['keys', 'rotate-data'], { url: on.db.url(), env: { TENANTRY_SECRET: secret } })
  await past(`update vault set token = 'planted' where id = 1`)
  const left = await command()
  expect(left.err).toMatch(/1 values of public\.vault\.token do not open.*id = '1'/)
  expect(left.out).toMatch(/Every other value[\s\S]*1 do not open[\s\S]*tenantry\.unopened_values/)
  await on.holding(anna, (client) => client.query('delete from vault where id = 1'))
  expect((await command()).out).toMatch(/^Every value is sealed by a new key/)
})
