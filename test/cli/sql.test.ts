import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { cli } from './cli.js'

const env = { TENANTRY_SECRET: randomBytes(32).toString('base64url') }

let db: TestDatabase
let app: TestRole
let url: string

beforeAll(async () => {
  db = await testDatabase()
  url = db.url()
  const owner = await db.role('owner', { ordinary: false })
  await db.admin.query(`grant create on schema public to ${owner.name}`)
  await owner.pool().query(`
    create table people (id bigint primary key, name text not null);
    create table notes  (id bigint primary key, person_id bigint not null references people, body text);
    insert into people values (1, 'Ada'), (2, 'Bob');
    insert into notes  values (1, 1, 'a1'), (2, 1, 'a2'), (3, 2, 'b1'), (4, 2, 'b2');`)
  await db.admin.query(`
    select tenantry.register_kind('person', 'people');
    select tenantry.protect('people', owner_column => 'id', owner_kind => 'person');
    select tenantry.protect('notes', owner_column => 'person_id', owner_kind => 'person');`)
  app = await db.role('app', { allow: 'user' })
  expect(await cli(['keys', 'register'], { url, env })).toMatchObject({ code: 0 })
})

afterAll(() => db.drop())

describe('tenantry sql', () => {
  it('runs statements and prints tables', async () => {
    const { code, out, err } = await cli(
      [
        'sql',
        `select 1 as one, null as none, '{"a": 1}'::jsonb as json; update people set name = name where id = 1`,
      ],
      { url },
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toBe(
      [
        '┌─────┬──────┬─────────┐',
        '│ one │ none │ json    │',
        '├─────┼──────┼─────────┤',
        '│ 1   │      │ {"a":1} │',
        '└─────┴──────┴─────────┘',
        '(1 row)',
        'UPDATE 1',
        '',
      ].join('\n'),
    )
  })

  it('prints SQLSTATE, message and hint of an error', async () => {
    const { code, err } = await cli(['sql', 'select * from nothing'], { url })
    expect({ code, err }).toEqual({
      code: 1,
      err: 'ERROR 42P01: relation "nothing" does not exist\n',
    })
  })

  it('works as an entity, with a credential', async () => {
    const own = await cli(['sql', '--as', 'person:2', 'select body from notes order by id'], {
      url: app.url,
      env,
    })
    expect(own.out).toMatch(/b1[^]*b2[^]*\(2 rows\)/)
    expect(own.out).not.toContain('a1')
    const nobody = await cli(['sql', 'select body from notes'], { url: app.url })
    expect(nobody.out).toContain('(0 rows)')
    const stranger = await cli(['sql', '--as', 'person:1', '--for', 'person:2', 'select 1'], {
      url: app.url,
      env,
    })
    expect(stranger).toMatchObject({ code: 1, err: expect.stringContaining('TN004') })
  })

  it('without a secret needs the right to assume', async () => {
    const { code, err } = await cli(['sql', '--as', 'person:1', 'select 1'], { url: app.url })
    expect(code).toBe(1)
    expect(err).toMatch(/^ERROR 42501: /)
  })

  it('lets an admin assume an entity', async () => {
    const admin = await db.role('dba', { allow: 'admin' })
    const { code, out } = await cli(
      ['sql', '--as', 'person:1', 'select principal from tenantry.whoami()'],
      {
        url: admin.url,
      },
    )
    expect(code).toBe(0)
    expect(out).toContain('person:1')
  })

  it('reads statements from a file, and says when there is none', async () => {
    const file = join(tmpdir(), `tenantry-sql-${process.pid}.sql`)
    writeFileSync(file, '-- two\nselect 1 as first;\nselect 2 as second;')
    try {
      const { code, out } = await cli(['sql', '-f', file], { url })
      expect(code).toBe(0)
      expect(out).toMatch(/first[^]*second/)
    } finally {
      rmSync(file)
    }
    expect(await cli(['sql', '-f', file], { url })).toMatchObject({
      code: 1,
      err: expect.stringContaining('ENOENT'),
    })
  })

  it('asks for statements, which may take several lines, and goes on after an error', async () => {
    const input = [
      'select body',
      '  from notes order by id;',
      'selct 1;',
      'do $$ begin',
      '  perform 1;',
      'end $$;',
      '\\as person:1',
      'select count(*) as mine from notes;',
      '\\d',
      '\\nonsense',
      '\\q',
      'select 9999;',
    ].join('\n')
    const { code, out, err } = await cli(['sql'], { url: app.url, env, input })
    expect(code).toBe(0)
    expect(out).toContain('(0 rows)')
    expect(out).toContain('DO')
    expect(out).toMatch(/mine[^]*2[^]*\(1 row\)/)
    expect(out).toContain('people')
    expect(err).toContain('syntax error')
    expect(err).toContain('There is no \\nonsense')
    expect(out).not.toContain('9999')
  })
})
