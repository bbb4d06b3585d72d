import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'
import { repositoryRoot } from '../support/repository.js'
import { cli, type CliResult } from './cli.js'

let db: TestDatabase
let owner: TestRole
let folder: string

const people = `select tenantry.protect('public.people', owner_column => 'id', owner_kind => 'person');`
const notes = `select tenantry.protect('public.notes', owner_column => 'person_id', owner_kind => 'person');`
const kind = `select tenantry.register_kind('person', 'public.people');`

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tenantry-apply-'))
})

beforeEach(async () => {
  await db?.drop()
  db = await testDatabase()
  owner = await db.role('owner', { ordinary: false })
  await db.admin.query(`grant create on schema public to ${owner.name}`)
  await owner.pool().query(`
    create table people (id bigint primary key);
    create table notes  (id bigint primary key, person_id bigint references people);
    insert into people values (1), (2);
    insert into notes values (1, 1), (2, null);`)
})

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await db.drop()
})

function write(...statements: string[]): string {
  const file = join(folder, 'tenantry.sql')
  writeFileSync(file, `-- a file\n${statements.join('\n')}\n`)
  return file
}

const apply = (file: string, ...args: string[]): Promise<CliResult> =>
  cli(['apply', file, ...args], { url: db.url() })

/** Lines of the report as `title: outcome`. */
const outcomes = (result: CliResult): string[] =>
  [...result.out.matchAll(/^│ \d+ +│ (.+?) +│ (done|as declared|refused|left) /gm)].map(
    (match) => `${match[1]}: ${match[2]}`,
  )

const isProtected = async (table: string): Promise<boolean> => {
  const { rows } = await db.admin.query<{ relforcerowsecurity: boolean }>(
    'select relforcerowsecurity from pg_class where oid = $1::regclass',
    [table],
  )
  return rows[0]?.relforcerowsecurity ?? false
}

describe('tenantry apply', () => {
  it('goes on after a refusal, says what to do, and does the rest when run again', async () => {
    const file = write(kind, notes, people)
    const first = await apply(file)
    expect(first.code).toBe(1)
    expect(outcomes(first)).toEqual([
      'register_kind person: done',
      'protect public.notes: refused',
      'protect public.people: done',
    ])
    expect(first.out).toMatch(
      /line 3, protect public\.notes: refused\nERROR TN011: .*\nHINT: .*update .*notes set person_id/,
    )
    expect(first.err).toContain('One statement was refused')
    expect(first.err).toContain(`run tenantry apply ${file} again`)
    expect([await isProtected('people'), await isProtected('notes')]).toEqual([true, false])

    await db.admin.query('update notes set person_id = 2 where person_id is null')
    const second = await apply(file)
    expect(second).toMatchObject({ code: 0, err: '' })
    expect(outcomes(second).slice(1)).toEqual([
      'protect public.notes: done',
      'protect public.people: as declared',
    ])
    expect(await isProtected('notes')).toBe(true)
  })

  it('runs nothing of a file that the grammar refuses', async () => {
    const result = await apply(write(kind, people, 'select from where;'))
    expect(result.code).toBe(1)
    expect(result.err).toContain('line 4: ')
    expect(result.err).toContain('HINT: Nothing was carried out.')
    const { rows } = await db.admin.query('select * from tenantry.kinds')
    expect(rows).toEqual([])
  })

  it('leaves nothing behind of a statement that fails half-way', async () => {
    const result = await apply(
      write(`do $$ begin create table half (); perform 1 / 0; end $$;`, 'create table whole ();'),
    )
    expect(result.code).toBe(1)
    expect(result.out).toContain('ERROR 22012: division by zero')
    const { rows } = await db.admin.query(
      `select to_regclass('half') as half, to_regclass('whole') as whole`,
    )
    expect(rows).toEqual([{ half: null, whole: 'whole' }])
  })

  it('tries everything and keeps nothing with --dry-run', async () => {
    await db.admin.query('delete from notes where person_id is null')
    const result = await apply(write(kind, people, notes), '--dry-run')
    expect(result).toMatchObject({ code: 0, err: '' })
    expect(outcomes(result)).toEqual([
      'register_kind person: done',
      'protect public.people: done',
      'protect public.notes: done',
    ])
    expect(result.out).toContain('This was a dry run')
    expect(await isProtected('people')).toBe(false)
    expect((await db.admin.query('select * from tenantry.kinds')).rows).toEqual([])
  })

  it('reports in a dry run what would be refused, as far as it depends on nothing else', async () => {
    const result = await apply(write(kind, notes, people), '--dry-run')
    expect(result.code).toBe(1)
    expect(outcomes(result)[1]).toBe('protect public.notes: refused')
    expect(outcomes(result)[2]).toBe('protect public.people: done')
    expect(await isProtected('people')).toBe(false)
  })

  it('gives way to the application where it cannot have its locks', async () => {
    const busy = await db.admin.connect()
    try {
      await busy.query('begin; lock table people in access share mode')
      const result = await apply(write(kind, people), '--lock-timeout', '50ms', '--attempts', '2')
      expect(result.code).toBe(1)
      expect(result.out).toContain('ERROR 55P03')
      await busy.query('rollback')
    } finally {
      busy.release()
    }
    expect(await apply(write(kind, people))).toMatchObject({ code: 0 })
  })

  it('tries again when the locks become free meanwhile', async () => {
    const busy = await db.admin.connect()
    try {
      await busy.query('begin; lock table people in access share mode')
      const running = apply(write(kind, people), '--lock-timeout', '100ms', '--attempts', '10')
      await new Promise((resolve) => setTimeout(resolve, 300))
      await busy.query('rollback')
      expect(await running).toMatchObject({ code: 0, err: '' })
    } finally {
      busy.release()
    }
  })

  it('runs what no transaction can hold', async () => {
    const result = await apply(write('create index concurrently on notes (person_id);'))
    expect(result).toMatchObject({ code: 0, err: '' })
  })

  it('carries out what is decided with --partial, and still says that something is not', async () => {
    const file = write(kind, '-- undecided: public.notes', `-- ${notes}`, people)
    const refused = await apply(file)
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('One table is undecided: public.notes')
    expect(await isProtected('people')).toBe(false)
    const partial = await apply(file, '--partial')
    expect(partial.code).toBe(1)
    expect(partial.out).toContain('Undecided: public.notes.')
    expect(await isProtected('people')).toBe(true)
  })

  it('reads standard input, and says so when there is no file', async () => {
    const piped = await cli(['apply', '-'], { url: db.url(), input: kind })
    expect(piped).toMatchObject({ code: 0, err: '' })
    const missing = await apply(join(folder, 'nothing.sql'))
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('tenantry survey > ') })
  })

  it('stops after the current statement on Ctrl-C and goes on when run again', async () => {
    const file = write(kind, 'select pg_sleep(1.5);', people)
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        join(repositoryRoot, 'src/cli/main.ts'),
        'apply',
        file,
        '--url',
        db.url(),
      ],
      { cwd: repositoryRoot, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => void (text += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => void (text += chunk.toString()))
    const ended = once(child, 'exit')
    await untilSleeping()
    child.kill('SIGINT')
    const [code] = (await ended) as [number]
    expect(text).toContain('Stopping after the current statement')
    expect(text).toMatch(/select pg_sleep\(1\.5\) +│ done/)
    expect(text).toMatch(/protect public\.people +│ left/)
    expect(text).toContain('it does what is left')
    expect(code).toBe(130)
    expect(await isProtected('people')).toBe(false)
    expect(await apply(file)).toMatchObject({ code: 0 })
    expect(await isProtected('people')).toBe(true)
  })
})

async function untilSleeping(): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const { rowCount } = await db.admin.query(
      `select from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep' and query like '%pg_sleep%'`,
    )
    if (rowCount === 1) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the statement that sleeps was never seen')
}
