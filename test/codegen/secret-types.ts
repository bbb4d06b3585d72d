/**
 * What must compile and what must not where columns are encrypted; see types.ts.
 */
import type pg from 'pg'
import { kyselyFor } from '../../src/accessors/kysely.js'
import { secret, tenantry, type Json, type Secret } from '../../src/index.js'
import {
  schema,
  user,
  type Accessors,
  type LettersRow,
  type VaultRow,
} from './golden/secrets.generated.js'

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void
/** `is<T>()(value)` compiles when the value's type is T, no wider and no narrower. */
declare function is<T>(): <V>(value: Equal<T, V> extends true ? V : T & never) => void

type Plain = Pick<VaultRow, 'id' | 'owner_id' | 'label'>

export async function reads({ vault, letters }: Accessors): Promise<void> {
  // Without the privilege decrypt each of them reads as null, NOT NULL or not.
  same<VaultRow['token'], Secret<string> | null>(true)
  same<VaultRow['pin'], Secret<string> | null>(true)
  same<VaultRow['note'], Secret<Json> | null>(true)
  same<VaultRow['settings'], Secret<Json> | null>(true)
  same<VaultRow['whole'], Secret<Json> | null>(true)
  same<VaultRow['raw'], Secret<Buffer> | null>(true)

  is<Plain[]>()(await vault.findMany())
  is<Plain | null>()(await vault.findById(1))
  is<Plain>()(await vault.insert({ id: 1, token: 'x' }))
  is<Plain[]>()(await vault.insertMany([{ id: 1, token: 'x' }]))
  is<Plain>()(await vault.updateById(1, { label: 'x' }))
  is<Plain>()(await vault.upsert({ id: 1, token: 'x' }))
  const opened = await vault.findFirst({ select: ['id', 'token', 'raw'] })
  is<Pick<VaultRow, 'id' | 'token' | 'raw'> | null>()(opened)
  is<string | undefined>()(opened?.token?.reveal())
  is<Buffer | undefined>()(opened?.raw?.reveal())
  is<boolean | undefined>()(opened?.token?.equals('x'))
  const returned = await vault.upsert({ id: 1, token: 'x' }, { select: ['token'] })
  is<Secret<string> | null>()(returned.token)

  const row = await vault.findFirst()
  // @ts-expect-error not selected
  is<Secret<string> | null | undefined>()(row?.token)
  // @ts-expect-error a secret is no text
  opened?.token?.toUpperCase()
  // @ts-expect-error nor may it be taken for one
  is<string | undefined>()(opened?.token)
  // @ts-expect-error and may be null
  opened?.token.reveal()
  // @ts-expect-error a blind index is the database's own
  await vault.findMany({ select: ['email_index'] })

  // In whatever step they are, and by one path; copies of values are the database's own.
  same<LettersRow['body'], Secret<string> | null>(true)
  same<LettersRow['pin'], Secret<string> | null>(true)
  same<LettersRow['mail'], Secret<string> | null>(true)
  same<LettersRow['doc'], Secret<Json> | null>(true)
  same<keyof LettersRow, 'id' | 'owner_id' | 'body' | 'pin' | 'mail' | 'doc'>(true)
  await letters.findMany({ where: { body: { not: null } }, orderBy: ['id'] })
  // @ts-expect-error a secret is not compared
  await letters.findMany({ where: { body: { in: ['x'] } } })
  // @ts-expect-error nor has it an order
  await letters.findMany({ orderBy: ['pin'] })
}

export async function filters({ vault }: Accessors): Promise<void> {
  await vault.findMany({ where: { email: 'x', label: { in: ['y'] } }, orderBy: ['-id', 'label'] })
  await vault.count({ where: { email: secret('x') } })
  await vault.update({ where: { email: 'x' }, set: { label: 'y' } })
  await vault.delete({ where: { email: null } })
  await vault.findMany({ where: { email: { not: null }, pin: null, raw: { not: null } } })
  await vault.findMany({ where: { note: null, whole: { not: null } } })

  // @ts-expect-error no blind index
  await vault.findMany({ where: { token: 'x' } })
  // @ts-expect-error no blind index
  await vault.count({ where: { pin: secret('x') } })
  // @ts-expect-error no blind index
  await vault.delete({ where: { raw: Buffer.alloc(1) } })
  // @ts-expect-error nor for JSON
  await vault.findMany({ where: { whole: { a: 1 } } })
  // @ts-expect-error never null
  await vault.findMany({ where: { token: null } })
  // @ts-expect-error never null
  await vault.findMany({ where: { settings: { not: null } } })
  // @ts-expect-error a blind index knows equality alone
  await vault.findMany({ where: { email: { in: ['x'] } } })
  // @ts-expect-error a blind index knows equality alone
  await vault.findMany({ where: { email: { gt: 'x' } } })
  // @ts-expect-error a blind index knows equality alone
  await vault.findMany({ where: { email: { not: 'x' } } })
  // @ts-expect-error of its own type
  await vault.findMany({ where: { email: 5 } })
  // @ts-expect-error of its own type, as a Secret, too
  await vault.findMany({ where: { email: secret(5) } })
  // @ts-expect-error the column itself is the database's own
  await vault.findMany({ where: { email_index: Buffer.alloc(32) } })
  // @ts-expect-error sealed values have no order
  await vault.findMany({ orderBy: ['token'] })
  // @ts-expect-error sealed values have no order
  await vault.findMany({ orderBy: ['-email'] })
}

export async function writes({ vault, letters }: Accessors): Promise<void> {
  await vault.insert({ id: 1, token: secret('x'), pin: 'y', email: null, settings: { a: [1] } })
  await vault.insert({ id: 1, token: 'x', raw: Buffer.alloc(1), note: secret<Json>({ a: 1 }) })
  await vault.updateById(1, { raw: secret(new Uint8Array(1)), whole: null })
  await vault.update({ all: true, set: { token: secret('x') } })
  const stored = await vault.findById(1, { select: ['token', 'raw', 'settings'] })
  if (stored?.token) await vault.insert({ id: 2, token: stored.token, raw: stored.raw })
  await vault.upsert(
    { id: 1, token: 'x', email: 'y' },
    { onConflict: 'vault_email', update: ['token'] },
  )

  // @ts-expect-error NOT NULL
  await vault.insert({ id: 1, token: null })
  // @ts-expect-error NOT NULL, as ever
  await vault.insert({ id: 1 })
  // @ts-expect-error of its own type
  await vault.insert({ id: 1, token: 5 })
  // @ts-expect-error of its own type, as a Secret, too
  await vault.insert({ id: 1, token: secret(5) })
  // @ts-expect-error what is not sealed takes no secret
  await vault.insert({ id: 1, token: 'x', label: secret('y') })
  // @ts-expect-error JSON is a secret as a whole or not at all
  await vault.updateById(1, { settings: { a: secret('x') } })
  // @ts-expect-error the database fills it
  await vault.updateById(1, { email_index: Buffer.alloc(32) })
  // @ts-expect-error no such unique key
  await vault.upsert({ id: 1, token: 'x' }, { onConflict: 'vault_token' })
  // @ts-expect-error the database fills it
  await letters.insert({ id: 1, mail_plain: 'x' })
}

export async function kysely(pool: pg.Pool): Promise<void> {
  const db = tenantry(pool, { secret: 'x'.repeat(32), schema })
  const query = kyselyFor(db.as(user('u')), schema)
  const rows = await query.selectFrom('vault').select(['id', 'token', 'pin']).execute()
  is<{ id: number; token: string; pin: string | null }[]>()(rows)
  await query.withSchema('tenant').selectFrom('vault').selectAll().execute()
  await query
    .insertInto('vault')
    .values({ id: 1, token: 'x', raw: Buffer.alloc(1) })
    .execute()

  const given = { id: 1, token: secret('x') }
  // @ts-expect-error Kysely knows no secrets: they are plain on the way in
  await query.insertInto('vault').values(given).execute()
  // @ts-expect-error and the index stays the database's own
  await query.selectFrom('vault').select('email_index').execute()
}
