import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stage, type Stage } from '../extension/support/stage.js'
import { cli } from './cli.js'

// How findings are printed, and which are known already.

let on: Stage
let url: string
let folder: string

beforeAll(async () => {
  on = await stage()
  url = on.db.url()
  folder = await mkdtemp(join(tmpdir(), 'tenantry-check-'))
  await on.setUp.query(`
    create table users (id uuid primary key);
    select tenantry.register_kind('user', 'users');
    create table notes (id int primary key, owner_id uuid not null references users);
    create table plans (id int primary key);
    select tenantry.protect('users', owner_column => 'id', owner_kind => 'user');
    select tenantry.protect('notes')`)
  await on.db.admin.query('drop policy tenantry_select on notes')
})

afterAll(async () => {
  await on.drop()
  await rm(folder, { recursive: true })
})

describe('SARIF', () => {
  it('has a rule for each code and a result for each finding', async () => {
    const { code, out } = await cli(['check', '--format', 'sarif'], { url })
    expect(code).toBe(2)
    const log = JSON.parse(out) as Log
    expect(log.version).toBe('2.1.0')
    const [run] = log.runs
    expect(run.tool.driver).toMatchObject({ name: 'tenantry' })
    expect(run.tool.driver.rules.map(({ id }) => id).sort()).toEqual([
      'policy_missing',
      'table_undeclared',
    ])
    expect(
      run.results.map(({ ruleId, level, locations }) => [
        ruleId,
        level,
        locations[0]?.logicalLocations[0]?.fullyQualifiedName,
      ]),
    ).toEqual([
      ['policy_missing', 'error', 'public.notes'],
      ['table_undeclared', 'warning', 'public.plans'],
    ])
    expect(run.results[0]?.message.text).toContain('select * from tenantry.sync();')
  })

  it('has none where nothing stands open', async () => {
    const { out } = await cli(['check', '--format', 'sarif', '--baseline', await baseline()], {
      url,
    })
    expect((JSON.parse(out) as Log).runs[0].results).toEqual([])
  })
})

describe('a baseline', () => {
  it('leaves out what it names, and only that', async () => {
    const known = await baseline()
    expect(await cli(['check', '--baseline', known], { url })).toEqual({
      code: 0,
      out: 'Nothing stands open.\n',
      err: '',
    })
    await on.db.admin.query('alter table notes no force row level security')
    const { code, out } = await cli(['check', '--baseline', known, '--json'], { url })
    expect(code).toBe(2)
    expect(JSON.parse(out)).toMatchObject([{ code: 'row_security_not_forced' }])
    await on.db.admin.query('alter table notes force row level security')
  })

  it('says what it names that is found no more', async () => {
    const known = await baseline()
    await on.setUp.query('select * from tenantry.sync()')
    expect(await cli(['check', '--baseline', known], { url })).toEqual({
      code: 0,
      out: 'Nothing stands open.\n',
      err: 'No longer found: policy_missing public.notes\n',
    })
  })

  it('that is none is refused, with the command that writes one', async () => {
    const broken = join(folder, 'broken.json')
    for (const [text, problem] of [
      ['{"findings": [{"code": 1}]}', 'is not a baseline'],
      ['null', 'is not a baseline'],
      ['{', 'cannot be read'],
    ] as const) {
      await writeFile(broken, text)
      const { code, out, err } = await cli(['check', '--baseline', broken], { url })
      expect({ code, out }).toEqual({ code: 3, out: '' })
      expect(err).toContain(problem)
      expect(err).toContain('--write-baseline')
    }
    expect((await cli(['check', '--baseline', join(folder, 'none')], { url })).err).toContain(
      'cannot be read',
    )
  })
})

async function baseline(): Promise<string> {
  const file = join(folder, 'baseline.json')
  const { code, out } = await cli(['check', '--write-baseline', file], { url })
  expect({ code, out }).toEqual({ code: 0, out: `2 findings written to ${file}.\n` })
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
    findings: [{ code: 'policy_missing' }, { code: 'table_undeclared' }],
  })
  return file
}

interface Log {
  readonly version: string
  readonly runs: readonly [
    {
      readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } }
      readonly results: readonly {
        readonly ruleId: string
        readonly level: string
        readonly message: { readonly text: string }
        readonly locations: readonly {
          readonly logicalLocations: readonly { readonly fullyQualifiedName: string }[]
        }[]
      }[]
    },
  ]
}
