import { readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { generate } from '../../../codegen/generate.js'
import {
  deriveKeyShare,
  deriveSigningKey,
  Secret,
  tenantry,
  type Session,
  type Tenantry,
  type TenantryOptions,
} from '../../../src/index.js'
import { stage, type Stage } from '../../extension/support/stage.js'
import { tapWire, type WireTap } from '../../runtime/wire-tap.js'
import { repositoryRoot } from '../../support/repository.js'
import type * as Generated from '../golden/secrets.generated.js'
import type { Accessors, UserId } from '../golden/secrets.generated.js'

const folder = join(import.meta.dirname, '..', 'golden')

/** What the generator makes of secrets.sql, with the ids of columns numbered. */
export const secretsGolden = join(folder, 'secrets.generated.ts')

/** The application's secret; the master key is made with its share. */
export const secret = 'a secret of the application, long enough'

/** The database of secrets.sql, set up by an ordinary owner of its tables. */
export async function secretsDatabase(): Promise<Stage> {
  const on = await stage()
  const { key, keyId } = deriveSigningKey(secret)
  const share = deriveKeyShare(secret)
  await on.db.admin.query('select tenantry.register_issuer($1, $2)', [keyId, key])
  await on.db.admin.query('select tenantry.create_master_key($1)', [share])
  const run = (file: string) => readFileSync(join(folder, file), 'utf8')
  await on.setUp.query(run('secrets.sql'))
  await on.db.admin.query(run('secrets-filled.sql'))
  await on.setUp.query(run('secrets-steps.sql'))
  for (const [column, step] of [
    ['pin', 'dual'],
    ['mail', 'filled'],
  ]) {
    await on.setUp.query(
      `call tenantry.encrypt_existing('letters', $1, to_step => $2, key_share => $3)`,
      [column, step, share],
    )
  }
  return on
}

/** Generates as an ordinary login of the application reads the catalog. */
export async function generated(on: Stage, runtime: string): Promise<string> {
  const client = await on.app.connect()
  return generate(client, { schemas: ['public'], runtime })
}

/** Every database gives its encrypted columns ids of its own. */
export function numbered(text: string): string {
  const seen = new Map<string, string>()
  return text.replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => {
    if (!seen.has(id)) {
      seen.set(id, `00000000-0000-4000-8000-${String(seen.size + 1).padStart(12, '0')}`)
    }
    return seen.get(id)!
  })
}

export const anna = '6f1c0000-0000-4000-8000-00000000000a' as UserId
export const bert = '6f1c0000-0000-4000-8000-00000000000b' as UserId

/** One row of `vault` with a secret of every type. */
export const full = {
  id: 1,
  token: 'sk-1',
  pin: '1234',
  email: 'anna@x',
  note: [1, null, 'text'],
  settings: { theme: 'dark', secrets: { a: 1 }, deep: { key: 'k', open: true } },
  whole: 'a JSON string',
  raw: Buffer.from([0, 1, 255, 254, 0, 9, 8, 7]),
}
export const names = ['token', 'pin', 'email', 'note', 'settings', 'whole', 'raw'] as const

/** The generated accessors of that database, through the runtime, as an ordinary login. */
export interface SecretAccessors {
  readonly on: Stage
  readonly user: typeof Generated.user
  /** tenantry on a pool of the application's login. */
  open(options?: Partial<TenantryOptions>, config?: pg.PoolConfig): Tenantry<Accessors>
  as(id: UserId): Session<Accessors>
  /** One connection whose words are read along. */
  readonly tap: WireTap
  readonly tapped: Tenantry<Accessors>
  /** Empties `vault`, then gives Anna `full` and Bert a row with the same email. */
  refill(): Promise<void>
  drop(): Promise<void>
}

export async function secretAccessors(): Promise<SecretAccessors> {
  const on = await secretsDatabase()
  const folder = join(repositoryRoot, '.cache', `secrets-${on.db.name}`)
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'tenantry.generated.ts')
  await writeFile(file, await generated(on, join(repositoryRoot, 'src', 'index.js')))
  const { schema, user } = (await import(file)) as typeof Generated
  const tap = await tapWire(on.app.url)
  const open: SecretAccessors['open'] = (options, config) =>
    tenantry(on.app.pool(config), { secret, ...options, schema })
  const tapped = open({}, { connectionString: undefined, ...tap.config, max: 1 })
  const db = open()
  const as = (id: UserId): Session<Accessors> => db.as(user(id))
  return {
    on,
    user,
    open,
    as,
    tap,
    tapped,
    async refill() {
      await on.db.admin.query('delete from vault')
      await as(anna).vault.insert(full)
      await as(bert).vault.insert({ id: 2, token: 'of Bert', email: full.email })
    },
    async drop() {
      await tapped.end()
      await tap.close()
      await on.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A row with its secrets opened. */
export function revealed(row: object | null | undefined): object | null | undefined {
  return (
    row &&
    Object.fromEntries(
      Object.entries(row).map(([name, value]: [string, unknown]) => [
        name,
        value instanceof Secret ? (value.reveal() as unknown) : value,
      ]),
    )
  )
}

export const caught = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )
