import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateFrom } from '../../codegen/generate.js'
import { introspect } from '../../codegen/introspect.js'
import type { Snapshot } from '../../codegen/snapshot.js'
import { importedNames } from '../../codegen/emit/file.js'
import { buildModel } from '../../codegen/build-model.js'
import { defineSchema } from '../../src/index.js'
import type { SchemaDefinition } from '../../src/index.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { diagnostics } from './support/compile.js'
import { plainExecutor } from './support/plain-executor.js'

// The accessors' own entry: without kinds nothing else is imported, and compiling stays quick.
const runtime = join(import.meta.dirname, '..', '..', 'src', 'accessors', 'index.js')
const ident = (name: string): string => pg.escapeIdentifier(name)

/** What people, and people who mean harm, call things. */
const names = [
  `it's "quoted"`,
  'two\nlines',
  '*/ alert(1) /*',
  '`${process.exit(1)}`',
  `'; drop schema public; --`,
  'class',
  'select',
  'Promise',
  'Row',
  'user',
  'user ',
  '1st',
  '-minus',
  'constructor',
  'toString',
  'query',
  'then',
  'naïve λ 表 🚀',
  'back\\slash',
  'tab\tand\u2028separator',
  'x'.repeat(63),
  'Reads',
  'DB',
  'schema',
]

describe('hostile names', () => {
  let db: TestDatabase
  let role: string
  let client: pg.Client
  let snapshot: Snapshot

  beforeAll(async () => {
    db = await testDatabase()
    const app = await db.role('app')
    role = app.name
    const create = (table: string, columns: readonly string[]) => `
        create table ${ident(table)} (
          id integer primary key,
          ${columns.map((column) => `${ident(column)} text,`).join('\n')}
          "twice" text unique
        );
        comment on table ${ident(table)} is ${pg.escapeLiteral(`${table} */ @deprecated \u0001`)};
        comment on column ${ident(table)}."class" is ${pg.escapeLiteral(table)};
        grant select, insert, update, delete on ${ident(table)} to ${ident(role)};`
    const tables = [
      ...names.map((name) => create(name, ['class'])),
      create('wide', [...names, '__proto__']),
    ]
    await db.admin.query(`
      create type "enum's" as enum (${names.map((name) => pg.escapeLiteral(name)).join(', ')});
      create domain "Date" as text default ${pg.escapeLiteral(`*/ '\\`)} check (value <> '*/');
      ${tables.join('')}
      create schema "other ""schema""";
      create table "other ""schema"""."class" (e "enum's" primary key, d "Date", "es" "enum's"[]);
      grant usage on schema public, "other ""schema""" to ${ident(role)};
      grant select, insert on "other ""schema"""."class" to ${ident(role)};`)
    client = await app.connect()
    const admin = await db.admin.connect()
    snapshot = await introspect(admin, { role }).finally(() => admin.release())
  })
  afterAll(() => db.drop())

  it('compile, as they are and in camelCase', () => {
    const files = [false, true].map((camel): [string, string] => [
      join(import.meta.dirname, `hostile-${camel}.ts`),
      generateFrom(snapshot, { camel, runtime }),
    ])
    expect(diagnostics(new Map(files))).toEqual([])
    for (const [, text] of files) expect(text).not.toMatch(/\r|\u2028/)
    // The compiler does complain, when there is something to complain about.
    const wrong = join(import.meta.dirname, 'wrong.ts')
    expect(diagnostics(new Map([[wrong, 'export const wrong: number = ""']]))).toHaveLength(1)
  })

  it('read and write through accessors', async () => {
    const model = buildModel(snapshot, { imported: importedNames })
    const definition: SchemaDefinition = {
      defaultSchema: 'public',
      tables: model.tables.map(({ property, schema, name, columns, primaryKey, uniques }) => ({
        property,
        schema,
        name,
        columns: columns.map((column) => ({
          name: column.name,
          as: column.property,
          ...(column.readAs && { readAs: column.readAs }),
          ...(column.array && { array: true as const }),
        })),
        primaryKey: primaryKey?.map((column) => column.property) ?? [],
        uniques: uniques.map((key) => ({
          name: key.name,
          columns: key.columns.map((column) => column.property),
        })),
      })),
    }
    const tables = defineSchema<Record<string, Loose>>(definition).bind(plainExecutor(client))
    for (const table of model.tables.filter(({ schema }) => schema === 'public')) {
      const row = Object.fromEntries(
        table.columns.map(({ property }) => [property, property === 'id' ? 1 : `a ${property}`]),
      )
      const accessor = tables[table.property]!
      expect(await accessor.insert(row)).toEqual(row)
      const where = { ...row, id: { in: [1] } }
      expect(await accessor.findMany({ where, orderBy: Object.keys(row) })).toEqual([row])
      expect(await accessor.upsert({ ...row, class: 'new' })).toEqual({ ...row, class: 'new' })
      await accessor.deleteById(1)
    }
    const other = model.tables.find(({ schema }) => schema !== 'public')!
    for (const label of names) {
      const stored = await tables[other.property]!.insert({ e: label, es: [label, label] })
      expect(stored).toEqual({ e: label, d: `*/ '\\`, es: [label, label] })
    }
  })

  it('give every table and column a property of its own', () => {
    const { tables } = buildModel(snapshot, { camel: true, imported: importedNames })
    expect(new Set(tables.map(({ property }) => property)).size).toBe(names.length + 2)
    for (const { columns } of tables) {
      expect(new Set(columns.map(({ property }) => property)).size).toBe(columns.length)
    }
    const reserved = ['query', 'then', 'constructor', 'toString']
    expect(tables.filter(({ property }) => reserved.includes(property))).toEqual([])
  })
})

interface Loose {
  insert(row: object): Promise<unknown>
  upsert(row: object): Promise<unknown>
  findMany(options: object): Promise<unknown>
  deleteById(id: unknown): Promise<void>
}
