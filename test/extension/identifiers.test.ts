import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { TestRole } from '../support/database.js'
import { fullLength } from '../support/full-length.js'
import {
  credential,
  inTransaction,
  outcome,
  quoted,
  refusal,
  stage,
  unwatched,
} from './support/stage.js'
import type { Finding, Stage } from './support/stage.js'

const hostile: Record<string, string> = {
  'quotes of both kinds': `it's a "name"`,
  'the end of a statement': `x"; drop table public.victims; --`,
  'the end of a literal': `'); drop table public.victims; --`,
  'line breaks': 'first\nsecond\r\n-- third\t',
  backslashes: `back\\slash\\' \\n \\`,
  'percent signs': `100%s %I %L %1$s %%`,
  'dollar quotes': `$$ $f$ $body$ $sql$ $_$ $1`,
  'curly braces and commas': `{a,"b",null}`,
  'sixty-three bytes': 'n'.repeat(63),
  'sixty-three bytes in twenty-one characters': '漢'.repeat(21),
  'sixty-two bytes in thirty-one characters': 'é'.repeat(31),
  'a reserved word': 'select',
  pg_temp: 'pg_temp',
  'a name of ours': 'tenantry_select',
  'spaces and capitals': ' Leading Capital ',
  patterns: `.*(a|b)[c]+?\\m %_`,
}

/** Roles of the databases of other tests, and what is declared on purpose. */
const expected = ['login_of_another_database', 'reference_exempt']

const uuids = [
  '00000000-0000-4000-8000-00000000000a',
  '00000000-0000-4000-8000-00000000000b',
] as const

describe('names of tables, columns, constraints, schemas and roles', () => {
  let on: Stage

  beforeAll(async () => {
    on = await stage()
    await on.db.admin.query('create table victims as select 1 as alive')
  })
  afterAll(() => on.drop())

  // How names are quoted hangs on nothing in a version of PostgreSQL: each name is proved on one of them, and on every one in
  // `make test-all`.
  const half = inject('server').major === 15 ? 0 : 1
  Object.entries(hostile)
    .filter((_, position) => fullLength || position % 2 === half)
    .forEach(([label, name]) => it(label, () => proves(on, name)))
})

async function proves(on: Stage, name: string) {
  const run = await declared(on, name)
  expect(await run.check()).toEqual([])
  await provesIsolation(on, run)
  await provesRepairs(on, run)
  await provesFixes(on, run)
  await provesIsolation(on, run)
  await takenBack(on, run)
  expect((await on.db.admin.query('select alive from public.victims')).rows).toEqual([{ alive: 1 }])
}

interface Run {
  readonly name: string
  readonly kind: string
  readonly people: string
  readonly rooms: string
  readonly notes: string
  readonly lookup: string
  readonly log: string
  readonly schema: string
  readonly column: string
  readonly app: TestRole
  readonly person: TestRole
  readonly migration: TestRole
  readonly writer: TestRole
  check(): Promise<Finding[]>
}

let number = 0

async function declared(on: Stage, name: string): Promise<Run> {
  const { admin } = on.db
  const kind = `kind${++number}`
  const role = (label: string) => on.db.role(label + name.slice(0, 6) + number, { ordinary: false })
  const [app, person, migration, writer, owner] = await Promise.all(
    ['a', 'p', 'm', 'w', 'o'].map(role) as [
      Promise<TestRole>,
      Promise<TestRole>,
      Promise<TestRole>,
      Promise<TestRole>,
      Promise<TestRole>,
    ],
  )
  // A schema's name may not begin with pg_, so that one stands in public.
  const schema = quoted(name.startsWith('pg_') ? 'public' : name)
  const table = (suffix: string) => `${schema}.${quoted(cut(name, suffix))}`
  const [people, rooms, notes, lookup, log] = ['', '1', '2', '3', '4'].map(table) as [
    string,
    string,
    string,
    string,
    string,
  ]
  const column = quoted(name)
  const second = quoted(cut(name, '_'))
  if (schema !== '"public"')
    await admin.query(`create schema ${schema} authorization ${quoted(owner.name)}`)
  else await admin.query(`grant create, usage on schema public to ${quoted(owner.name)}`)
  await admin.query('select tenantry.allow($1, $2)', [owner.name, 'admin'])
  const setUp = await owner.connect()
  await setUp.query(`
    create table ${people} (${column} uuid primary key, body text);
    create table ${rooms} (${second} serial primary key, ${column} uuid constraint ${column} references ${people}, body text);
    create table ${notes} (${second} int, room int constraint ${column} references ${rooms}, free int constraint ${second} references ${rooms}, body text);
    create table ${lookup} (${column} int primary key);
    create table ${log} (${column} int);
    insert into ${people} values ('${uuids[0]}', 'a'), ('${uuids[1]}', 'b');
    insert into ${rooms} (${column}, body) values ('${uuids[0]}', 'a'), ('${uuids[1]}', 'b');
    insert into ${notes} values (1, 1, 1, 'a'), (2, 2, 2, 'b');
    insert into ${lookup} values (1)`)
  const call = (text: string, values: unknown[]) => setUp.query(text, values)
  await call('select tenantry.register_kind($1, $2, id_column => $3)', [kind, people, name])
  for (const dry of [true, false]) {
    await call('select tenantry.protect($1, dry_run => $2)', [rooms, dry])
    if (dry) continue
    await call(
      'select tenantry.protect($1, owner_column => $2, owner_from => $3, unchecked_references => $4)',
      [notes, name, ['room'], ['free']],
    )
    await call('select tenantry.protect($1, $2)', [people, name])
  }
  await call('select tenantry.share($1, $2)', [lookup, [writer.name]])
  await call('select tenantry.exempt($1, $2)', [log, name])
  for (const login of [app, person]) await admin.query('select tenantry.allow($1)', [login.name])
  await admin.query('select tenantry.bind_role($1, $2, true)', [person.name, `${kind}:${uuids[0]}`])
  await admin.query('select tenantry.manage_schema($1, $2)', [
    name.startsWith('pg_') ? 'public' : name,
    migration.name,
  ])
  await admin
    .query('select tenantry.exempt($1, $2)', ['public.victims', name])
    .catch(() => undefined)
  return {
    name,
    kind,
    people,
    rooms,
    notes,
    lookup,
    log,
    schema,
    column,
    app,
    person,
    migration,
    writer,
    async check() {
      const found = (await on.check('info')).filter(({ code }) => !expected.includes(code))
      return found
    },
  }
}

async function provesIsolation(on: Stage, run: Run) {
  const { rooms, notes, people, lookup, log, column } = run
  const app = await run.app.connect()
  for (const [side, id] of uuids.entries()) {
    await inTransaction(app, async () => {
      await app.query('select tenantry.enter($1)', [credential(on.db.name, `${run.kind}:${id}`)])
      const does = (text: string) => outcome(app, text)
      for (const relation of [people, rooms, notes])
        expect(await does(`select from ${relation}`)).toBe('1 rows')
      const [own, foreign] = side === 0 ? [1, 2] : [2, 1]
      expect(await does(`insert into ${rooms} (body) values ('new')`)).toBe('1 rows')
      expect(await does(`insert into ${rooms} (${column}) values ('${uuids[1 - side]}')`)).toBe(
        '42501',
      )
      expect(await does(`insert into ${notes} (room) values (${own})`)).toBe('1 rows')
      expect(await does(`insert into ${notes} (room) values (${foreign})`)).toBe('23503')
      expect(await does(`insert into ${notes} (room, free) values (${own}, ${foreign})`)).toBe(
        '1 rows',
      )
      expect(await does(`update ${notes} set ${column} = '${uuids[1 - side]}'`)).toBe('42501')
      expect(await does(`select from ${lookup}`)).toBe('1 rows')
      expect(await does(`insert into ${lookup} values (2)`)).toBe('42501')
      expect(await does(`select from ${log}`)).toBe('42501')
      await app.query(
        `delete from ${rooms} where body = 'new'; delete from ${notes} where body is null`,
      )
    })
  }
  expect((await app.query(`select from ${notes}`)).rowCount).toBe(0)

  const person = await run.person.connect()
  expect((await person.query(`select ${column} from ${notes}`)).rows).toEqual([
    { [run.name]: uuids[0] },
  ])

  const writer = await run.writer.connect()
  await on.db.admin
    .query(`grant usage on schema ${run.schema} to ${quoted(run.writer.name)}, ${quoted(run.migration.name)};
    grant select on ${notes} to ${quoted(run.migration.name)}`)
  expect((await writer.query(`update ${lookup} set ${column} = 1`)).rowCount).toBe(1)

  const migration = await run.migration.connect()
  expect((await migration.query(`select from ${notes}`)).rowCount).toBe(2)
}

/** sync() with everything of the table gone. */
async function provesRepairs(on: Stage, run: Run) {
  const { notes, people } = run
  await on.db.admin.query(`
    do $do$
    declare item text;
    begin
      for item in select format('drop policy %I on %s', p.polname, p.polrelid::regclass) from pg_policy p where p.polrelid = ${pg.escapeLiteral(notes)}::regclass
                  union all
                  select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) from pg_trigger t
                   where t.tgrelid in (${pg.escapeLiteral(notes)}::regclass, ${pg.escapeLiteral(people)}::regclass) and not t.tgisinternal
                  union all
                  select format('alter table %s drop constraint %I', k.conrelid::regclass, k.conname) from pg_constraint k
                   where k.conrelid = ${pg.escapeLiteral(notes)}::regclass and cardinality(k.conkey) = 2 and k.contype = 'f'
      loop execute item; end loop;
    end $do$;
    alter table ${notes} disable row level security`)
  expect(await run.check()).not.toEqual([])
  await on.db.admin.query('select * from tenantry.sync()')
  expect(await run.check()).toEqual([])
}

/** The statements that check() prints. */
async function provesFixes(on: Stage, run: Run) {
  const client = new pg.Client({ connectionString: on.db.url() })
  await client.connect()
  try {
    await fixesOf(run, client)
  } finally {
    await client.end()
  }
}

/**
 * What is wrong together is found by one call, each thing once, and all the fixes leave only what they are not for: a call
 * for each would take most of the time of this file.
 */
async function fixesOf(run: Run, client: pg.Client) {
  const { notes, rooms, schema, column } = run
  const findings = async () =>
    (
      await client.query<Finding>(`select * from tenantry.check('info') where code <> 'audit_head'`)
    ).rows.filter(({ code }) => !expected.includes(code))
  const fixes = async (given: Record<string, string>, refused?: string) => {
    await client.query('begin')
    try {
      for (const statements of Object.values(given)) await client.query(statements)
      const before = await findings()
      const fixOf = (code: string) => {
        const found = before.filter((finding) => finding.code === code)
        expect(found, code).toHaveLength(1)
        return found[0]!.fix
      }
      const codes = Object.keys(given).filter((code) => code !== refused)
      for (const code of codes) await client.query(fixOf(code))
      expect(await findings()).toEqual(before.filter(({ code }) => !codes.includes(code)))
      if (refused) expect((await refusal(client.query(fixOf(refused)))).code).toBe('TN011')
    } finally {
      await client.query('rollback')
    }
  }
  const [table, view, stored, code] = ['9', 'a', 'b', 'c'].map(
    (suffix) => `${schema}.${quoted(cut(run.name, suffix))}`,
  ) as [string, string, string, string]
  await fixes(
    {
      table_undeclared: `create table ${table} (x int, ${column} uuid references ${run.people})`,
      view_runs_as_owner: `create view ${view} as select * from ${notes}; grant select on ${view} to ${quoted(run.app.name)}`,
      relation_unprotectable: `create materialized view ${stored} as select 1; grant select on ${stored} to ${quoted(run.app.name)}`,
      [run.name.startsWith('tenantry_') ? 'policy_changed' : 'policy_foreign']:
        `create policy ${quoted(cut(run.name, '9'))} on ${notes} using (true)`,
      schema_create: `grant create on schema ${schema} to ${quoted(run.app.name)}`,
      login_unbound: `alter role ${quoted(run.app.name)} bypassrls`,
      trigger_denied: `create function ${code}() returns trigger language plpgsql as $trigger$begin perform from ${run.log}; return null; end$trigger$;
       create trigger ${quoted(cut(run.name, '7'))} after insert on ${notes} for each row execute function ${code}()`,
    },
    // The table is the superuser's, which protect() refuses: the fix is for its owner.
    'table_undeclared',
  )
  await fixes({
    login_outside: `revoke tenantry_user from ${quoted(run.app.name)}`,
    internal_role_member: `grant tenantry_reach to ${quoted(run.writer.name)}`,
    column_renamed: unwatched(
      `alter table ${rooms} rename column ${column} to ${quoted(cut(run.name, '8'))}`,
    ),
  })
}

async function takenBack(on: Stage, run: Run) {
  const { admin } = on.db
  expect(await refusal(admin.query('select tenantry.unprotect($1)', [run.rooms]))).toMatchObject({
    code: 'TN011',
  })
  for (const relation of [run.notes, run.rooms, run.people]) {
    const shown = await admin.query('select * from tenantry.unprotect($1, dry_run => true)', [
      relation,
    ])
    expect((await admin.query('select * from tenantry.unprotect($1)', [relation])).rows).toEqual(
      shown.rows,
    )
  }
  await admin.query('select tenantry.unshare($1)', [run.lookup])
  await admin.query('select tenantry.unexempt($1)', [run.log])
  await admin.query('select tenantry.unmanage_schema($1)', [
    run.name.startsWith('pg_') ? 'public' : run.name,
  ])
  for (const login of [run.app, run.person])
    await admin.query('select tenantry.disallow($1)', [login.name])
  await admin.query('select tenantry.unregister_kind($1)', [run.kind])
  const left = await admin.query(
    `select tgname from pg_trigger where tgname like 'tenantry%' and tgrelid in ($1::regclass, $2::regclass, $3::regclass)
     union all select polname from pg_policy where polrelid in ($1::regclass, $2::regclass, $3::regclass)
     union all select proname from pg_proc where pronamespace = 'tenantry_private'::regnamespace and proname ~ '^(check_references|fill_owner)_'`,
    [run.people, run.rooms, run.notes],
  )
  expect(left.rows).toEqual([])
  if (run.schema === '"public"')
    await admin.query(
      `drop table ${[run.notes, run.rooms, run.people, run.lookup, run.log].join(', ')} cascade`,
    )
  else await admin.query(`drop schema ${run.schema} cascade`)
}

/** The name with a suffix, cut so that it still fits into 63 bytes. */
function cut(name: string, suffix: string): string {
  const characters = [...name]
  while (Buffer.byteLength(characters.join('') + suffix) > 63) characters.pop()
  return characters.join('') + suffix
}
