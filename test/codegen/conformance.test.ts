import { readFileSync } from 'node:fs'
import { Project, SyntaxKind, type InterfaceDeclaration } from 'ts-morph'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TestDatabase } from '../support/database.js'
import { moodValues, schema, type Accessors } from './golden/tenantry.generated.js'
import { sample } from './samples.js'
import { goldenDatabase, goldenFile } from './support/golden.js'
import { plainExecutor } from './support/plain-executor.js'

type Check = (value: unknown) => boolean

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const isPoint: Check = (value) =>
  isObject(value) && 'x' in value && typeof value.x === 'number' && 'y' in value

/** What it means, at run time, to be of a declared type. */
const checks: Readonly<Record<string, Check>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  boolean: (value) => typeof value === 'boolean',
  Date: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
  Buffer: (value) => Buffer.isBuffer(value),
  Json: (value) => value === null || JSON.stringify(value) !== undefined,
  Interval: (value) =>
    isObject(value) && 'toPostgres' in value && typeof value.toPostgres === 'function',
  Point: isPoint,
  Circle: (value) => isPoint(value) && isObject(value) && 'radius' in value,
  Mood: (value) => moodValues.some((label) => label === value),
  Email: (value) => typeof value === 'string',
  Note: (value) => typeof value === 'string',
  Rating: (value) => typeof value === 'number',
  WorkEmail: (value) => typeof value === 'string',
  MainMood: (value) => moodValues.some((label) => label === value),
  Labels: (value) => Array.isArray(value) && value.every((label) => typeof label === 'string'),
}

function holds(type: string, value: unknown): boolean {
  if (type.endsWith('[]')) {
    return Array.isArray(value) && value.every((element) => holds(type.slice(0, -2), element))
  }
  const check = checks[type]
  if (!check) throw new Error(`no check for the type ${type}`)
  return check(value)
}

/** Column → declared type, without its null; of a ColumnType, what it selects. */
function declared(declaration: InterfaceDeclaration): Map<string, string> {
  return new Map(
    declaration.getProperties().map((property) => {
      const type = property.getTypeNodeOrThrow()
      const selected = type.getText().startsWith('ColumnType<')
        ? type.asKindOrThrow(SyntaxKind.TypeReference).getTypeArguments()[0]!
        : type
      return [property.getName(), selected.getText().replace(' | null', '')]
    }),
  )
}

describe('declared types are what the driver returns', () => {
  let db: TestDatabase
  let client: pg.Client
  let accessors: Accessors
  const file = new Project({ useInMemoryFileSystem: true }).createSourceFile(
    'golden.ts',
    readFileSync(goldenFile, 'utf8'),
  )

  beforeAll(async () => {
    db = await goldenDatabase()
    client = await (await db.role('app', { allow: 'user' })).connect()
    await client.query("set timezone = 'UTC'; set lc_monetary = 'C'")
    accessors = schema.bind(plainExecutor(client))
    await accessors.samples.insert(sample)
  })
  afterAll(() => db.drop())

  it('is a check that finds a wrong type', () => {
    expect(holds('number', '1')).toBe(false)
    expect(holds('Date[]', ['2026-01-01'])).toBe(false)
    expect(holds('Mood', 'furious')).toBe(false)
    expect(declared(file.getInterfaceOrThrow('SamplesTable')).get('numerics')).toBe('number[]')
  })

  it('covers every column', () => {
    const columns = [...declared(file.getInterfaceOrThrow('SamplesRow')).keys()]
    expect(Object.keys(sample)).toEqual(columns)
  })

  it('through an accessor', async () => {
    const row = await accessors.samples.findById(1)
    const wrong = [...declared(file.getInterfaceOrThrow('SamplesRow'))].filter(
      ([column, type]) => !holds(type, row?.[column as keyof typeof row]),
    )
    expect(wrong).toEqual([])
  })

  it('through plain pg, which is what Kysely sees', async () => {
    const { rows } = await client.query<Record<string, unknown>>('select * from public.samples')
    const wrong = [...declared(file.getInterfaceOrThrow('SamplesTable'))].filter(
      ([column, type]) => !holds(type, rows[0]?.[column]),
    )
    expect(wrong).toEqual([])
  })

  it('values come back as they went in', async () => {
    const row = (await accessors.samples.findById(1))!
    const { an_interval, intervals } = row
    expect({ ...row, an_interval: null, intervals: null }).toEqual({
      ...sample,
      an_interval: null,
      intervals: null,
    })
    expect(an_interval).toMatchObject({ years: 1, days: 2, hours: 3 })
    expect(intervals).toMatchObject([{ days: 1 }])
  })

  it('rows read can be written again', async () => {
    const row = (await accessors.samples.findById(1))!
    await accessors.samples.insert({ ...row, id: 2 })
    expect(await accessors.samples.findById(2)).toEqual({ ...row, id: 2 })
    await accessors.samples.updateById(2, row.a_jsonb === null ? {} : { a_jsonb: null })
    expect((await accessors.samples.findById(2, { select: ['a_jsonb'] }))?.a_jsonb).toBeNull()
  })

  it('null is null in every nullable column', async () => {
    const row = await accessors.samples.insert({ id: 3, a_note: '' })
    const { id, a_note, a_main_mood, a_required_jsonb, ...nullable } = row
    expect({ id, a_note, a_main_mood, a_required_jsonb }).toEqual({
      id: 3,
      a_note: '',
      a_main_mood: 'ok',
      a_required_jsonb: {},
    })
    expect(Object.values(nullable).every((value) => value === null)).toBe(true)
  })
})
