import type pg from 'pg'
import { stage, type Stage } from '../../extension/support/stage.js'
import type { TestRole } from '../../support/database.js'

export const anna = 'user:aaaaaaaa-0000-4000-8000-000000000001' as const
export const bert = 'user:bbbbbbbb-0000-4000-8000-000000000002' as const
export const annaId = anna.slice(5)
export const bertId = bert.slice(5)

/** A managed schema in which somebody creates tables who knows nothing of tenantry. */
export interface Nursery extends Stage {
  /** May create in the schema app, is no admin, and is nobody's member. */
  readonly stranger: TestRole
  readonly made: pg.Client
  /** How a table is declared; undefined if it is not. */
  declared(table: string): Promise<Declared | undefined>
  /** Row-level security and what the application holds on a relation. */
  state(relation: string): Promise<State>
  /** Actions that the audit has about an object, oldest first. */
  audited(object: string): Promise<string[]>
}

export interface Declared {
  readonly class: string
  readonly owner_column: string
  readonly owner_kind: string
  readonly owner_from: string | null
}

export interface State {
  readonly enabled: boolean
  readonly forced: boolean
  readonly policies: number
  readonly open: boolean
}

export async function nursery(): Promise<Nursery> {
  const on = await stage()
  const stranger = await on.db.role('stranger', { ordinary: false })
  await on.db.admin.query(`
    create schema app authorization "${on.owner.name}";
    grant create, usage on schema app to "${stranger.name}"`)
  await on.setUp.query(`
    create table app.users (id uuid primary key);
    insert into app.users values ('${annaId}'), ('${bertId}');
    create table app.old (id int primary key, owner_id uuid);
    grant select on app.old to "${on.app.name}";
    select tenantry.register_kind('user', 'app.users');
    select tenantry.share('app.users');
    select tenantry.manage_schema('app', owner_column => 'owner_id', owner_kind => 'user');
    grant select, references on app.users to "${stranger.name}"`)
  return {
    ...on,
    stranger,
    made: await stranger.connect(),
    async declared(table) {
      const { rows } = await on.db.admin.query<Declared>(
        `select class, owner_column, owner_kind, owner_from::text from tenantry.tables where relation = $1::text::regclass`,
        [table],
      )
      return rows[0]
    },
    async state(relation) {
      const { rows } = await on.db.admin.query<State>(
        `select c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
                (select count(*)::int from pg_policy p where p.polrelid = c.oid) as policies,
                tenantry_private.readable_by_application(c.oid) as open
           from pg_class c where c.oid = $1::text::regclass`,
        [relation],
      )
      return rows[0] as State
    },
    async audited(object) {
      const { rows } = await on.db.admin.query<{ action: string }>(
        'select action from tenantry.audit where object = $1 order by id',
        [object],
      )
      return rows.map(({ action }) => action)
    },
  }
}
