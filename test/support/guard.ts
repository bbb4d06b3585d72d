import type pg from 'pg'

/** Thrown when a test is about to prove something with a login that policies do not bind. */
export class NotAnOrdinaryRole extends Error {
  readonly code = 'NOT_AN_ORDINARY_ROLE'
  override readonly name = 'NotAnOrdinaryRole'
}

/**
 * Refuses a session that row security would not apply to: a superuser, a role with BYPASSRLS,
 * the owner of a table in a schema that has protected tables, or a member of one of them. A
 * policy test that runs as such a role passes whatever the policies say.
 */
export async function assertOrdinaryRole(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  const { rows } = await client.query<{ problem: string }>(findProblems)
  if (rows.length === 0) return
  throw new NotAnOrdinaryRole(rows.map(({ problem }) => problem).join('; '))
}

const findProblems = `
with may_become as (
  select r.oid, r.rolname, r.rolsuper, r.rolbypassrls
    from pg_catalog.pg_roles r
   where pg_catalog.pg_has_role(session_user, r.oid, 'member')
      or r.rolname = current_user
),
protected_schema as (
  select distinct c.relnamespace as oid
    from pg_catalog.pg_class c
   where c.relrowsecurity
)
select format('%s is a superuser (session of %s)', rolname, session_user) as problem
  from may_become where rolsuper
union all
select format('%s has BYPASSRLS (session of %s)', rolname, session_user)
  from may_become where rolbypassrls
union all
select format('%s owns table %s (session of %s)', m.rolname, c.oid::regclass, session_user)
  from pg_catalog.pg_class c
  join protected_schema s on s.oid = c.relnamespace
  join may_become m on m.oid = c.relowner
 where c.relkind in ('r', 'p')`
