import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { introspect } from '../../codegen/introspect.js'
import type { Stage } from '../extension/support/stage.js'
import { generated, numbered, secretsDatabase, secretsGolden } from './support/secrets.js'

describe('the generated file of a database with secrets', () => {
  let on: Stage

  beforeAll(async () => {
    on = await secretsDatabase()
  })
  afterAll(() => on.drop())

  // What it says is compiled, and tried by types, as a part of every build: secret-types.ts.
  it('is the committed one on every version of PostgreSQL, but for the ids of columns', async () => {
    const text = numbered(await generated(on, '../../../src/index.js'))
    if (process.env['UPDATE_GOLDEN']) await writeFile(secretsGolden, text)
    expect(text).toBe(readFileSync(secretsGolden, 'utf8'))
  })

  const registry = async (database: Stage = on) => {
    const client = await database.app.connect()
    return (await introspect(client, { schemas: ['public'] })).registry
  }

  it('has as secrets what is declared, from the first step on', async () => {
    const { secrets } = await registry()
    expect(secrets.map(({ name, column }) => `${name}.${column}`)).toEqual([
      'letters.body',
      'letters.doc',
      'letters.mail',
      'letters.pin',
      'vault.email',
      'vault.note',
      'vault.pin',
      'vault.raw',
      'vault.settings',
      'vault.token',
      'vault.whole',
    ])
    const { rows } = await on.setUp.query<{ state: string }>(
      `select state from tenantry.encrypted_columns
        where table_name = 'letters' and column_name = 'doc' order by path`,
    )
    expect(rows.map(({ state }) => state)).toEqual(['added', 'sealed'])
  })

  it('conceals blind indexes and copies of values, of columns in every state', async () => {
    const { concealed } = await registry()
    expect(concealed.map(({ name, column }) => `${name}.${column}`)).toEqual([
      'letters.body_plain',
      'letters.doc_plain',
      'letters.mail_index',
      'letters.mail_plain',
      'letters.pin_plain',
      'vault.email_index',
    ])
  })

  it('can be made of an installation from before secrets', async () => {
    const older = await secretsDatabase()
    try {
      await older.db.admin.query(`
        do $$ begin
          if exists (select from pg_extension where extname = 'tenantry') then
            alter extension tenantry drop view tenantry.encrypted_columns;
          end if;
        end $$;
        drop view tenantry.encrypted_columns`)
      const { installed, kinds, tables, secrets, concealed } = await registry(older)
      expect([installed, secrets, concealed]).toEqual([true, [], []])
      expect([kinds.length, tables.length]).toEqual([1, 3])
      const text = await generated(older, 'tenantry')
      expect(text).toContain('export type UserId')
      expect(text).not.toContain('Secret')
      expect(await generated(on, 'tenantry')).toContain('Secret<string>')
    } finally {
      await older.drop()
    }
  })
})
