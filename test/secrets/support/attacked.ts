import type pg from 'pg'
import { expect } from 'vitest'
import { deriveSigningKey, mintCredential } from '../../../src/credential.js'
import { identityOf } from '../../../src/identity.js'
import { chatty, leaked } from '../../extension/support/listening.js'
import { credential } from '../../extension/support/stage.js'
import { hmac } from '../format/bytes.js'
import { dataKeyLabel, indexKeyLabel, unwrap, wrappingKeys } from '../format/keys.js'
import { anna, bert, secretStage, share, type SecretStage } from './stage.js'

/** Anna's secrets begin with OWN, Bert's with BERTS; the attacker is Anna, or a service that works for her. */
export interface Attacked extends SecretStage {
  /** Every key of the database and every share, also those that exist only while a statement runs. */
  keys(): Promise<Buffer[]>
  /** A credential of the service that works for Anna and may not decrypt. */
  botCredential(): string
  /** What the attacker may have got hold of: ciphertexts and sealed settings of Bert's. */
  readonly loot: Loot
}

export interface Loot {
  readonly token: string
  readonly raw: Buffer
  readonly ring: string
  readonly context: string
  readonly keyShare: string
  readonly sealRing: string
}

const row = (start: string) => [
  `${start}-TOKEN`,
  `${start}-P`,
  JSON.stringify({ s: `${start}-DOC` }),
  Buffer.from(`${start}-RAW`),
  `${start}-EMAIL`,
  `${start}-WATCHED`,
]

export async function attacked(): Promise<Attacked> {
  const on = await secretStage()
  await on.setUp.query(`
    create table vault (
      id int primary key, owner_id uuid not null references users, label text check (label <> 'bad'),
      token text not null, pin varchar(9), doc jsonb, raw bytea, email text, watched text);
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token'); select tenantry.encrypt_column('vault', 'pin');
    select tenantry.encrypt_column('vault', 'doc', '{s}'); select tenantry.encrypt_column('vault', 'raw');
    select tenantry.encrypt_column('vault', 'email', blind_index => true);
    select tenantry.encrypt_column('vault', 'watched', audited => true);
    create unique index vault_email on vault (email_index)`)
  await on.db.admin.query(
    `select tenantry.register_entity('bot:1'); select tenantry.register_service('bot:1', 'user')`,
  )
  const insert = `insert into vault (id, token, pin, doc, raw, email, watched) values ($1, $2, $3, $4, $5, $6, $7)`
  await on.holding(anna, (client) => client.query(insert, [1, ...row('OWN')]))
  const loot = await on.holding(bert, async (client) => {
    await client.query(insert, [2, ...row('BERTS')])
    const { rows } = await client.query<Loot>(
      `select token, raw, tenantry_private.ring('user') as ring, current_setting('tenantry.context') as context,
              current_setting('tenantry.key_share') as "keyShare", current_setting('tenantry.seal_ring') as "sealRing"
         from vault where id = 2`,
    )
    return rows[0]!
  })
  return {
    ...on,
    loot,
    keys: () => keysOf(on),
    botCredential: () =>
      mintCredential(
        deriveSigningKey('a secret of the tests, long enough for anybody'),
        identityOf('bot:1', anna),
        { audience: on.db.name, expiresAt: Math.floor(Date.now() / 1000) + 60 },
      ),
  }
}

interface StoredKey {
  readonly kind: string
  readonly id: string
  readonly serial: string
  readonly version: number
  readonly column_id: string
  readonly wrapped: Buffer
}

/** Every key of a database and both shares, the application's first; also those that exist only while a statement runs. */
export async function keysOf(on: SecretStage, using = share): Promise<Buffer[]> {
  const [master] = await on.stored<{ id: string; share: Buffer }>(
    `select id, share from tenantry_private.master_keys where state = 'active'`,
  )
  const wrapping = wrappingKeys(using, master!.share)
  const opened = (label: string, wrapped: Buffer) =>
    unwrap(wrapping, { label, masterKeyId: master!.id }, wrapped)
  const secrets = await on.stored<{ secret: Buffer }>(
    `select secret from tenantry_private.signing_keys union all select secret from tenantry_private.tag_keys
     union all select secret from tenantry_private.issuer_keys`,
  )
  const data = await on.stored<StoredKey>('select * from tenantry_private.data_keys')
  const index = await on.stored<StoredKey>('select * from tenantry_private.index_keys')
  return [
    using,
    master!.share,
    hmac(master!.share, using),
    wrapping.encrypt,
    wrapping.authenticate,
    ...secrets.map(({ secret }) => secret),
    ...data.map((key) =>
      opened(dataKeyLabel(`${key.kind}:${key.id}`, Number(key.serial), key.version), key.wrapped),
    ),
    ...index.map((key) => opened(indexKeyLabel(key.column_id), key.wrapped)),
  ]
}

/** How an attacker comes to run SQL: behind a statement that entered, or behind none. */
export const entries = (at: Attacked): Record<string, readonly [string, unknown[]] | null> => ({
  nobody: null,
  anna: ['select tenantry.enter($1, $2)', [credential(at.db.name, anna), share]],
  'anna without a share': ['select tenantry.enter($1)', [credential(at.db.name, anna)]],
  'anna with a wrong share': [
    'select tenantry.enter($1, $2)',
    [credential(at.db.name, anna), Buffer.alloc(32)],
  ],
  'a service without decrypt': ['select tenantry.enter($1, $2)', [at.botCredential(), share]],
})

/** A session of the application that keeps everything it is told. */
export interface Listener {
  readonly client: pg.Client
  readonly heard: string[]
  /** Runs a statement, whatever comes of it; rolls it back, unless it is told to keep it. */
  run(text: string, values?: unknown[], keep?: boolean): Promise<string>
}

export async function listener(at: Attacked): Promise<Listener> {
  const client = await at.app.connect()
  const heard: string[] = []
  const hear = (what: object) => {
    const told = JSON.stringify(what, Object.getOwnPropertyNames(what))
    heard.push(told)
    return told
  }
  client.on('notice', hear)
  return {
    client,
    heard,
    async run(text, values = [], keep = false) {
      await client.query('savepoint s')
      try {
        const { rows } = await client.query({ text, values, rowMode: 'array' })
        // Bytes as psql shows them.
        const shown = JSON.stringify(rows, (_, value: { type?: string; data?: number[] } | null) =>
          value?.type === 'Buffer' ? Buffer.from(value.data!).toString('hex') : value,
        )
        heard.push(shown)
        if (!keep) await client.query('rollback to savepoint s')
        return shown
      } catch (error) {
        await client.query('rollback to savepoint s')
        return hear(error as Error)
      }
    },
  }
}

/** In a transaction that ends without a trace, behind each way in. */
export async function behindEach(
  at: Attacked,
  { client }: Listener,
  work: (who: string) => Promise<unknown>,
  settings = chatty,
): Promise<void> {
  for (const [who, entry] of Object.entries(entries(at))) {
    await client.query('begin')
    if (entry) await client.query(entry[0], entry[1])
    // The statement that enters is not the attacker's: settings come behind it.
    await client.query(settings)
    await work(who)
    await client.query('rollback')
  }
}

/** Bert's plaintexts as text, as bytes, and as bytes in a printed tree. */
export const bertsSecrets = /BERTS|4245525453|66 69 82 84 83/

export function nothingLeaked({ heard }: Listener, keys: readonly Buffer[]): void {
  expect(leaked(heard, keys)).toEqual([])
  expect(bertsSecrets.exec(heard.join('\n'))?.[0]).toBeUndefined()
}
