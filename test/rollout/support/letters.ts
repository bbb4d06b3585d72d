import { annaId, bertId, type Library } from './library.js'

export const rows = 4000
let made = 0

/**
 * A prepared table of several hundred blocks; of each four rows the last is nobody's.
 * owner: its own column, where it has one; signal: a query, with the table as %s; default: its column sender.
 */
export async function letters(
  on: Library,
  { owner = '', signal = '' }: { owner?: string; signal?: string } = {},
): Promise<string> {
  const name = `letters_${++made}`
  await on.setUp.query(`
    create table ${name} (id int primary key, sender uuid, body text not null ${owner && `, owner_id ${owner}`});
    alter table ${name} alter column body set storage plain;
    insert into ${name} (id, sender, body)
    select n, case n % 4 when 0 then null when 1 then '${annaId}' else '${bertId}' end::uuid, repeat('x', 1500)
      from generate_series(1, ${rows}) n;
    grant select, update on ${name} to "${on.legacy.name}";
    select tenantry.rollout('${name}', 'owner_id', 'user', budget => ${rows})`)
  await on.setUp.query(
    `select tenantry.rollout_signal('${name}', 1, 'sender', coalesce(nullif($1, ''), tenantry.rollout_from_column('${name}', 'sender')))`,
    [signal.replaceAll('%s', `public.${name}`)],
  )
  await on.to(name, 'prepared')
  return name
}

/** What has come of it. */
export async function counted(on: Library, name: string): Promise<unknown> {
  const [row] = await on.stored(
    `select count(*) filter (where t.owner_id = t.sender)::int as right, count(*) filter (where t.owner_id is distinct from t.sender and t.owner_id is not null)::int as wrong,
            count(*) filter (where t.owner_id is null)::int as without,
            (select count(*)::int from tenantry.rollout_quarantine q where q.relation = '${name}'::regclass) as quarantined,
            (select array[s.done, s.filled, s.total]::int[] from tenantry.rollout_status s where s.relation = '${name}'::regclass) as progress
       from ${name} t`,
  )
  return row
}

export const everything = {
  right: (rows * 3) / 4,
  wrong: 0,
  without: rows / 4,
  quarantined: rows / 4,
  progress: [rows, (rows * 3) / 4, rows],
}
