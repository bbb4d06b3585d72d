import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  acceptServer,
  testDatabase,
  type TestDatabase,
  type TestRole,
} from '../support/database.js'
import { repositoryRoot } from '../support/repository.js'
import { cli } from './cli.js'

const secret = randomBytes(32).toString('base64url')
const env = { TENANTRY_SECRET: secret }

let db: TestDatabase
let owner: TestRole
let app: TestRole
let url: string

/** Two people with two notes each, and nothing else. */
const schema = `
  create table people (id bigint primary key, name text not null);
  create table notes  (id bigint primary key, person_id bigint not null references people, body text);
  insert into people values (1, 'Ada'), (2, 'Bob');
  insert into notes  values (1, 1, 'a1'), (2, 1, 'a2'), (3, 2, 'b1'), (4, 2, 'b2');`

beforeAll(async () => {
  db = await testDatabase({ empty: true })
  url = db.url()
  owner = await db.role('owner', { ordinary: false })
  await db.admin.query(`grant create on schema public to ${owner.name}`)
  await owner.pool().query(schema)
  app = await db.role('app')
})

afterAll(() => db.drop())

describe('tenantry install', () => {
  it('is asked for by every command that needs it', async () => {
    // 1 and 2 are what check() found.
    for (const [args, ends] of [
      [['check'], 3],
      [['keys', 'list'], 1],
    ] as const) {
      const { code, err } = await cli(args, { url })
      expect(code).toBe(ends)
      expect(err).toBe(
        'Error: tenantry is not installed in this database.\nHINT: Run: tenantry install\n',
      )
    }
  })

  it('takes the extension where the server offers it, and says what comes next', async () => {
    const { code, out, err } = await cli(['install'], { url })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^tenantry 0\.1\.0 is installed (as an extension|by script)\.\nNext: /)
    const { rowCount } = await db.admin.query(`select from pg_extension where extname = 'tenantry'`)
    expect(rowCount).toBe(out.includes('as an extension') ? 1 : 0)
    expect(db.server.installs === 'extension').toBe(out.includes('as an extension'))
  })

  it('changes nothing the second time', async () => {
    const { code, out } = await cli(['install', '--plain'], { url })
    expect({ code, out }).toEqual({ code: 0, out: 'tenantry 0.1.0 is installed already.\n' })
  })

  it('installs by script, and takes itself out again leaving the tables usable', async () => {
    const other = await testDatabase({ empty: true })
    try {
      await other.admin.query(
        'create table things (id int primary key); insert into things values (1)',
      )
      const plain = await cli(['install', '--plain'], { url: other.url() })
      expect(plain.err).toBe('')
      expect(plain.out).toContain('is installed by script')
      const gone = await cli(['install', '--uninstall'], { url: other.url() })
      expect(gone.err).toBe('')
      expect(gone.out).toContain('tenantry is no longer installed.')
      expect((await other.admin.query('select * from things')).rows).toEqual([{ id: 1 }])
      const again = await cli(['install', '--uninstall'], { url: other.url() })
      expect(again).toMatchObject({ code: 1, err: expect.stringContaining('is not installed') })
    } finally {
      await other.drop()
    }
  })

  it('reports the server’s error with SQLSTATE where the role may not install', async () => {
    const other = await testDatabase({ empty: true })
    try {
      const nobody = await other.role('nobody')
      const { code, err } = await cli(['install'], { url: nobody.url })
      expect(code).toBe(1)
      expect(err).toMatch(/^ERROR 42501: [^]*HINT: .*superuser/)
    } finally {
      await other.drop()
    }
  })
})

describe('tenantry keys', () => {
  it('wants a secret, and a long one', async () => {
    const missing = await cli(['keys', 'register'], { url })
    expect(missing).toMatchObject({
      code: 1,
      err: expect.stringContaining('TENANTRY_SECRET is not set'),
    })
    const short = await cli(['keys', 'register'], { url, env: { TENANTRY_SECRET: 'short' } })
    expect(short).toMatchObject({ code: 1, err: expect.stringContaining('at least 32 bytes') })
  })

  it('registers a key, prints its id and never the secret, lists and removes it', async () => {
    const registered = await cli(['keys', 'register'], { url, env })
    expect(registered).toMatchObject({ code: 0, err: '' })
    expect(registered.out).toMatch(/^[A-Za-z0-9_-]{16}\n$/)
    const id = registered.out.trim()
    const list = await cli(['keys', 'list'], { url })
    expect(list.out).toContain(id)
    for (const text of [registered.out, list.out]) expect(text).not.toContain(secret)

    expect(await cli(['keys', 'remove', id], { url })).toMatchObject({ code: 0 })
    const unknown = await cli(['keys', 'remove', id], { url })
    expect(unknown).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^ERROR 22023: .*\nHINT: /),
    })
    expect((await cli(['keys', 'list'], { url })).out).toContain('tenantry keys register')
    expect(await cli(['keys', 'register'], { url, env })).toMatchObject({ code: 0 })
  })
})

describe('tenantry check', () => {
  it('ends with 2 for something critical, lists it with its fix, and filters by severity', async () => {
    await db.admin.query(acceptServer)
    await db.admin.query(
      `select tenantry.manage_schema('public', migration_role => '${owner.name}')`,
    )
    await db.admin.query(`grant select on notes to tenantry_user`)
    const open = await cli(['check'], { url })
    expect(open.code).toBe(2)
    expect(open.out).toContain('table_undeclared')
    expect(open.out).toContain('What closes them')
    const json = await cli(['check', '--json', '--severity', 'critical'], { url })
    const findings = JSON.parse(json.out) as { severity: string; object: string }[]
    expect(findings).not.toEqual([])
    expect(new Set(findings.map((each) => each.severity))).toEqual(new Set(['critical']))
    await db.admin.query(`revoke select on notes from tenantry_user`)
  })

  it('ends with 1 for warnings and 0 once nothing is open', async () => {
    await db.admin.query(`select tenantry.allow('${app.name}')`)
    expect(await cli(['check'], { url })).toMatchObject({ code: 1 })
    await db.admin.query(`select tenantry.register_kind('person', 'people');
      select tenantry.protect('people', owner_column => 'id', owner_kind => 'person');
      select tenantry.protect('notes', owner_column => 'person_id', owner_kind => 'person');`)
    expect(await cli(['check'], { url })).toEqual({
      code: 0,
      out: 'Nothing stands open.\n',
      err: '',
    })
  })

  it('refuses severities that do not exist', async () => {
    const { code, err } = await cli(['check', '--severity', 'terrible'], { url })
    expect(code).toBe(2)
    expect(err).toContain('Allowed choices are critical, warning, info')
  })
})

describe('tenantry status', () => {
  it('tells the login of the application from others', async () => {
    const of = async (login: string) =>
      (await cli(['status'], { url: login })).out.replaceAll(/[│\s]+/g, ' ')
    expect(await of(app.url)).toContain('for the application yes')
    expect(await of(app.url)).toContain('keys (for admins)')
    expect(await of(owner.url)).toContain('no: it owns 2 tables')
    const superuser = await of(url)
    expect(superuser).toContain('no: it is a superuser')
    expect(superuser).toContain('kinds person')
    expect(superuser).toContain('tables 2 owned')
  })
})

describe('a connection', () => {
  it('that cannot be made gives one sentence, without the password, and ends with 3', async () => {
    const { code, err } = await cli(['status'], { url: 'postgres://me:hidden@127.0.0.1:1/shop' })
    expect(code).toBe(3)
    expect(err).toContain('Cannot connect to 127.0.0.1:1, database shop, as me')
    expect(err).toContain('HINT: No server listens there')
    expect(err).not.toContain('hidden')
  })

  it('to a database that does not exist says so', async () => {
    const missing = new URL(url)
    missing.pathname = '/no_such_database'
    const { code, err } = await cli(['status'], { url: missing.href })
    expect(code).toBe(3)
    expect(err).toContain('HINT: There is no such database')
  })

  it('that nobody named is asked for', async () => {
    const { code, err } = await cli(['status'])
    expect(code).toBe(1)
    expect(err).toContain('No database was named')
  })

  it('can come from the PG variables', async () => {
    const { hostname, port, username, password, pathname } = new URL(url)
    const { code } = await cli(['status'], {
      env: {
        PGHOST: hostname,
        PGPORT: port,
        PGUSER: username,
        PGPASSWORD: decodeURIComponent(password),
        PGDATABASE: pathname.slice(1),
      },
    })
    expect(code).toBe(0)
  })
})

describe('usage', () => {
  it.each([
    ['install'],
    ['keys'],
    ['survey'],
    ['apply'],
    ['rollout'],
    ['check'],
    ['status'],
    ['sql'],
  ])('tenantry %s --help shows examples', async (command) => {
    const { code, out } = await cli([command, '--help'])
    expect(code).toBe(0)
    expect(out).toMatch(/Usage: tenantry/)
    expect(out).toMatch(/Examples:\n {2}.*tenantry/)
  })

  it('ends with 2 for what does not exist', async () => {
    expect(await cli(['surveil'])).toMatchObject({ code: 2 })
    expect(await cli(['check', '--jsn'])).toMatchObject({ code: 2 })
    expect(await cli(['apply'])).toMatchObject({ code: 2 })
  })

  it('knows its version', async () => {
    expect(await cli(['--version'])).toEqual({ code: 0, out: '0.1.0\n', err: '' })
  })
})

describe('tenantry generate --drizzle', () => {
  it('wants the module as the file imports it, and says how that is', async () => {
    mkdirSync(join(repositoryRoot, '.cache'), { recursive: true })
    const folder = mkdtempSync(join(repositoryRoot, '.cache', 'drizzle-'))
    try {
      mkdirSync(join(folder, 'db'))
      writeFileSync(join(folder, 'db', 'schema.ts'), 'export {}')
      const from = relative(process.cwd(), folder)
      const out = join(from, 'db', 'block.ts')
      const generate = (module: string) =>
        cli(['generate', '--url', url, '--drizzle', module, '--out', out])
      for (const module of [`./${from}/db/schema`, './db/schema', '../schema.ts']) {
        const { code, err } = await generate(module)
        expect({ code, err }).toEqual({
          code: 1,
          err: expect.stringContaining(`There is no module ${module} beside ${out}.`),
        })
        if (module.includes(from)) expect(err).toContain('--drizzle ./schema\n')
        expect(existsSync(out)).toBe(false)
      }
      expect(await generate('./schema')).toMatchObject({ code: 0 })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('output that nobody reads to its end', () => {
  it('ends the command quietly, as where head has seen enough', async () => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', join(repositoryRoot, 'src/cli/main.ts'), 'sql', '--url', url].concat(
        'select generate_series(1, 2000)',
      ),
      { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let err = ''
    child.stderr.on('data', (chunk: Buffer) => void (err += chunk.toString()))
    child.stdout.destroy()
    expect(await once(child, 'close')).toEqual([0, null])
    expect(err).toBe('')
  })
})
