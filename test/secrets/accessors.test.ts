import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { drizzle } from 'drizzle-orm/node-postgres'
import { eq } from 'drizzle-orm'
import { integer, pgSchema, pgTable, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generate } from '../../codegen/generate.js'
import { deriveKeyShare, deriveSigningKey, secret, Secret, tenantry } from '../../src/index.js'
import { withKysely } from '../../src/accessors/kysely.js'
import type { GeneratedSchema } from '../../src/accessors/schema.js'
import { diagnostics } from '../codegen/support/compile.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { repositoryRoot } from '../support/repository.js'
import { anna, annaId, bert, bertId, encryptVault, vaultTable } from './support/stage.js'

// The runtime brings the key share, accessors seal and open, and nothing prints a secret.

const applicationSecret = 'the secret of these tests, long enough for all'
const folder = join(repositoryRoot, '.cache', `secrets-${process.pid}`)

interface Vault {
  findMany(options?: object): Promise<Record<string, unknown>[]>
  findFirst(options?: object): Promise<Record<string, unknown> | null>
  insert(values: object, options?: object): Promise<Record<string, unknown>>
  upsert(values: object, options?: object): Promise<Record<string, unknown>>
  updateById(id: number, set: object, options?: object): Promise<Record<string, unknown>>
}

let db: TestDatabase
let pool: pg.Pool
let generated: string
let schema: GeneratedSchema<
  { vault: Vault; watched: Vault },
  { vault: { id: number; token: string } }
>

const open = (options: object = {}) =>
  tenantry(pool, {
    secret: applicationSecret,
    schema: schema,
    ...options,
  })

beforeAll(async () => {
  db = await testDatabase()
  const app = await db.role('app', { allow: 'user' })
  await db.admin.query(
    `create role vault_owner_${process.pid} nologin; grant create, usage on schema public to vault_owner_${process.pid}`,
  )
  const { key, keyId } = deriveSigningKey(applicationSecret)
  await db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  await db.admin.query('select tenantry.create_master_key($1)', [deriveKeyShare(applicationSecret)])
  await db.admin.query(`
    set role vault_owner_${process.pid};
    create table users (id uuid primary key, name text not null);
    insert into users values ('${annaId}', 'Anna'), ('${bertId}', 'Bert');
    reset role;
    select tenantry.register_kind('user', 'users');
    select tenantry.protect('users', owner_column => 'id')`)
  const [create, ...protect] = vaultTable.split(/;/)
  await db.admin.query(
    `set role vault_owner_${process.pid}; ${create}; reset role; ${protect.join(';')}; ${encryptVault}`,
  )
  await db.admin.query(`
    set role vault_owner_${process.pid};
    create table watched (id int primary key, owner_id uuid not null references users, a text, b text, doc jsonb);
    reset role;
    select tenantry.protect('watched');
    select tenantry.encrypt_column('watched', 'a', audited => true);
    select tenantry.encrypt_column('watched', 'b', audited => true);
    select tenantry.encrypt_column('watched', 'doc', path => '{x}', audited => true);
    select tenantry.encrypt_column('watched', 'doc', path => '{y}', audited => true);
    select tenantry.encrypt_column('watched', 'doc', path => '{free}')`)
  pool = new pg.Pool({ connectionString: db.url(app), max: 3 })
  const admin = new pg.Client(db.url())
  await admin.connect()
  generated = (await generate(admin, { schemas: ['public'] })).replaceAll(
    /from ['"]tenantry['"]/g,
    `from ${JSON.stringify(join(repositoryRoot, 'src', 'index.js'))}`,
  )
  await admin.end()
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'tenantry.generated.ts'), generated)
  schema = ((await import(join(folder, 'tenantry.generated.ts'))) as { schema: typeof schema })
    .schema
})

afterAll(async () => {
  await pool.end()
  const role = `vault_owner_${process.pid}`
  await db.admin.query(`drop owned by ${role} cascade; drop role ${role}`)
  await db.drop()
  rmSync(folder, { recursive: true, force: true })
})

test('upsert with a decrypted RETURNING is one statement, also for the first secret of an owner', async () => {
  const { vault } = open().as(anna)
  const stored = await vault.upsert(
    { id: 1, token: secret('sk-1'), email: 'anna@x' },
    { select: ['id', 'token', 'email'] },
  )
  expect(stored.token).toBeInstanceOf(Secret)
  expect((stored.token as Secret<string>).reveal()).toBe('sk-1')
  const again = await vault.upsert(
    { id: 9, token: 'sk-2', email: 'anna@x' },
    { onConflict: 'vault_email', update: ['token'], select: ['id', 'token'] },
  )
  expect(again.id).toBe(1)
  expect((again.token as Secret<string>).reveal()).toBe('sk-2')
  const { rows } = await db.admin.query<{ token: string }>('select token from vault where id = 1')
  expect(rows[0]!.token).toMatch(/^tn1:/)
})

test('secrets are opened where they are named, and not by default', async () => {
  const { vault } = open().as(anna)
  await vault.updateById(1, {
    raw: Buffer.from('bytes'),
    settings: { theme: 'x', secrets: { a: 1 } },
  })
  expect(Object.keys((await vault.findMany())[0]!).sort()).toEqual(['id', 'label', 'owner_id'])
  const row = await vault.findFirst({ select: ['id', 'token', 'raw', 'settings', 'pin'] })
  expect((row!.raw as Secret<Buffer>).reveal()).toEqual(Buffer.from('bytes'))
  expect((row!.settings as Secret<object>).reveal()).toEqual({ theme: 'x', secrets: { a: 1 } })
  expect(row!.pin).toBeNull()
})

test('several audited columns, or paths of one, are opened together, and each is recorded', async () => {
  const recorded = async () => {
    const { rows } = await db.admin.query<{ what: string }>(
      `select column_name || path::text as what from tenantry.secret_readings where relation = 'watched'::regclass order by 1`,
    )
    await db.admin.query('delete from tenantry_private.secret_readings')
    return rows.map(({ what }) => what)
  }
  const { watched } = open().as(anna)
  const doc = { x: { deep: 1 }, y: 'why', free: 'f', open: true }
  const paths = ['doc{x}', 'doc{y}']
  const revealed = (row: Record<string, unknown> | null) =>
    Object.fromEntries(
      Object.entries(row!).map(([name, value]) => [name, (value as Secret<unknown>).reveal()]),
    )
  const select = ['a', 'b', 'doc']
  const stored = await watched.insert({ id: 1, a: 'one', b: 'two', doc }, { select })
  expect(revealed(stored)).toEqual({ a: 'one', b: 'two', doc })
  expect(await recorded()).toEqual(expect.arrayContaining(['a{}', 'b{}', ...paths]))
  expect(revealed(await watched.findFirst({ select }))).toEqual({ a: 'one', b: 'two', doc })
  expect(await recorded()).toEqual(['a{}', 'b{}', ...paths])
  expect(revealed(await watched.findFirst({ select: ['doc'] }))).toEqual({ doc })
  expect(await recorded()).toEqual(paths)
  await watched.findFirst({ select: ['id'] })
  expect(await open().as(bert).watched.findFirst({ select })).toBeNull()
  expect(await recorded()).toEqual([])
})

test('a blind index is searched by equality; nothing else is, and sealed columns have no order', async () => {
  const { vault } = open().as(anna)
  expect(await vault.findMany({ where: { email: 'anna@x' } })).toHaveLength(1)
  expect(await vault.findMany({ where: { email: 'nobody@x' } })).toEqual([])
  expect(await vault.findMany({ where: { pin: null } })).toHaveLength(1)
  expect(
    await open()
      .as(bert)
      .vault.findMany({ where: { email: 'anna@x' } }),
  ).toEqual([])
  for (const options of [
    { where: { token: 'sk-2' } },
    { where: { email: { gt: 'a' } } },
    { where: { email: { in: ['a'] } } },
    { orderBy: ['token'] },
  ]) {
    await expect(vault.findMany(options)).rejects.toMatchObject({ code: 'TN_ARGUMENT' })
  }
})

test('what does not hold at run time does not compile', () => {
  const wrong = [
    `await me.vault.findMany({ where: { token: 'x' } })`,
    `await me.vault.findMany({ where: { email: { in: ['x'] } } })`,
    `await me.vault.findMany({ where: { email: { gt: 'x' } } })`,
    `await me.vault.findMany({ orderBy: ['token'] })`,
    `void (await me.vault.findFirst())?.token`,
    `void (await me.vault.findFirst({ select: ['token'] }))?.token?.toUpperCase()`,
    `await me.vault.insert({ id: 1, token: 5 })`,
    `await me.vault.findMany({ select: ['email_index'] })`,
  ]
  const text = `import type { Accessors } from './tenantry.generated.js'
    declare const me: Accessors
    export const fine = [
      await me.vault.findMany({ where: { email: 'x', pin: null }, orderBy: ['-id'], select: ['token'] }),
      (await me.vault.findFirst({ select: ['token'] }))?.token?.reveal().toUpperCase(),
    ]
    ${wrong.map((line) => `// @ts-expect-error refused\n${line}`).join('\n')}`
  expect(diagnostics(new Map([[join(folder, 'uses.ts'), text]]))).toEqual([])
})

test('a secret prints nowhere, and neither does the share', async () => {
  const runtime = open()
  const [row] = await runtime.as(anna).vault.findMany({ select: ['token'] })
  const token = row!.token as Secret<string>
  for (const printed of [
    `${token}`,
    String(token),
    JSON.stringify(row),
    inspect(row),
    inspect(row, { depth: 9, showHidden: true }),
  ]) {
    expect(printed).not.toContain('sk-2')
    expect(printed).toContain('[secret]')
  }
  expect(token.equals('sk-2')).toBe(true)
  expect(token.equals(secret('sk-3'))).toBe(false)
  const share = deriveKeyShare(applicationSecret)
  const shown =
    inspect([runtime, runtime.as(anna), runtime.pool], { depth: 12, showHidden: true }) +
    JSON.stringify(Object.keys(runtime))
  for (const form of [share.toString('hex'), share.toString('base64')])
    expect(shown).not.toContain(form)
})

test('the context and the query are still one round trip, on every transport', async () => {
  const pipelined = new pg.Pool({
    ...(pool.options as object),
    max: 2,
    pipeline: true,
  })
  try {
    for (const runtime of [
      open(),
      open({ contextTtl: 60 }),
      open({ preparedStatements: true }),
      open({ transport: 'awaited' }),
      tenantry(pipelined, {
        secret: applicationSecret,
        transport: 'pipeline',
        schema: schema,
      }),
    ]) {
      for (let n = 0; n < 3; n += 1) {
        const row = await runtime.as(anna).vault.findFirst({ select: ['token'] })
        expect((row!.token as Secret<string>).reveal()).toBe('sk-2')
      }
    }
  } finally {
    await pipelined.end()
  }
})

test('a wrong secret, and no share, are errors that name what is missing', async () => {
  await expect(
    open({ keyShare: false })
      .as(anna)
      .vault.findMany({ select: ['token'] }),
  ).rejects.toMatchObject({ code: 'TN005', hint: expect.stringMatching(/share/) as string })
  expect(await open({ keyShare: false }).as(anna).vault.findMany()).toHaveLength(1)
})

test('a pool that began before the master key was made learns of it', async () => {
  const provider = (name: string) =>
    db.admin.query(`select tenantry_private.record_key_provider('${name}')`)
  await provider('file')
  const runtime = open()
  await expect(runtime.as(anna).vault.findMany({ select: ['token'] })).rejects.toMatchObject({
    code: 'TN005',
  })
  await provider('session')
  expect(await runtime.as(anna).vault.findMany({ select: ['token'] })).toHaveLength(1)
})

test('Drizzle and Kysely write plain through the table and read the view', async () => {
  const runtime = open()
  const vault = pgTable('vault', {
    id: integer('id').primaryKey(),
    token: text('token').notNull(),
    label: text('label'),
  })
  const shown = pgSchema('tenant').table('vault', { id: integer('id'), token: text('token') })
  const orm = drizzle(runtime.pool)
  const rows = await runtime.run(anna, async () => {
    await orm
      .insert(vault)
      .values({ id: 50, token: 'by drizzle' })
      .onConflictDoUpdate({ target: vault.id, set: { token: 'x' } })
    await orm.transaction((tx) =>
      tx.update(vault).set({ token: 'by drizzle, too' }).where(eq(vault.id, 50)),
    )
    return orm.select().from(shown).where(eq(shown.id, 50))
  })
  expect(rows).toEqual([{ id: 50, token: 'by drizzle, too' }])
  const { kysely } = tenantry(pool, { secret: applicationSecret, schema: withKysely(schema) }).as(
    anna,
  )
  await kysely.insertInto('vault').values({ id: 51, token: 'by kysely' }).execute()
  const read = await kysely
    .withSchema('tenant')
    .selectFrom('vault')
    .select(['id', 'token'])
    .where('id', '=', 51)
    .execute()
  expect(read).toEqual([{ id: 51, token: 'by kysely' }])
  const { rows: stored } = await db.admin.query<{ token: string }>(
    'select token from vault where id in (50, 51)',
  )
  for (const { token } of stored) expect(token).toMatch(/^tn1:/)
})
