import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stage, type Stage } from './support/stage.js'
import { kindTables } from './support/table-classes.js'

// All of them with `make test-all`: protecting 500 tables first takes longer than everything else here.
const number = process.env['TENANTRY_TEST_ALL'] ? 500 : 100
const allowed = (2 * number) / 500
let on: Stage

beforeAll(async () => {
  on = await stage()
  await on.setUp.query(kindTables)
  await on.setUp.query(`
    do $$
    begin
      for n in 1 .. ${number / 2} loop
        execute format('create table p%s (id int primary key, owner_id uuid not null references users, next int references p%1$s)', n);
        execute format('create table c%s (id int primary key, parent_id int references p%1$s, note text)', n);
        perform tenantry.protect(format('p%s', n)::regclass);
        perform tenantry.protect(format('c%s', n)::regclass, owner_from => '{parent_id}');
      end loop;
    end $$;
    select tenantry.share(t) from unnest('{users,accounts,shops,desks,teams,leagues}'::regclass[]) t`)
  for (let n = 0; n < 5; n++) await on.db.role(`app${n}`, { allow: 'user' })
}, 300_000)
afterAll(() => on.drop())

it(`check() looks at ${number} tables in less than ${allowed} s`, async () => {
  const client = await on.db.admin.connect()
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const before = workSeconds(rows[0]!.pid)
  const findings = await client.query('select * from tenantry.check()')
  const seconds = workSeconds(rows[0]!.pid) - before
  client.release()
  console.log(`check() of ${number} tables: ${seconds.toFixed(2)} s`)
  expect(findings.rows).toEqual([])
  expect(seconds).toBeLessThan(allowed)
})

/** Processor time of a server process on this machine, which other tests do not disturb; else the clock. */
function workSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return performance.now() / 1000
  }
}
