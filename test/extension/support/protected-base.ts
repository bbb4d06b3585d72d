import { quoted, stage, type Stage } from './stage.js'
import { kindTables } from './table-classes.js'

/**
 * A protected application with one table of each class and nothing for check() to find, not even at
 * severity info: what a test then breaks is the only thing that is broken.
 */
export async function protectedBase(): Promise<Stage> {
  const on = await stage()
  const { name } = on.db
  // Roles of databases of other tests are members of tenantry_user too.
  await on.db.admin.query(`revoke connect on database ${name} from public;
    grant connect on database ${name} to ${quoted(on.owner.name)}, ${quoted(on.app.name)}`)
  await on.setUp.query(`${kindTables}
    create table countries (code text primary key);
    create table schema_versions (version int);
    create table projects (id int primary key, owner_id uuid references users, country text references countries, title text);
    create table tasks (id int primary key, project_id int references projects on delete cascade, note text);
    create table notes (id serial primary key, owner_id uuid not null references users, task_id int references tasks, body text);
    create table logs (id int, owner_id uuid, body text) partition by list (id);
    create table logs_1 partition of logs for values in (1);
    create table logs_rest partition of logs default;
    insert into countries values ('fr'), ('de');
    insert into projects select n, id, 'fr', name from users, generate_series(1, 2) n where n = (case name when 'Anna' then 1 else 2 end);
    insert into tasks values (1, 1, 'of Anna'), (2, 2, 'of Bert');
    insert into notes (owner_id, task_id, body) select id, case name when 'Anna' then 1 else 2 end, name from users;
    insert into logs select n, id, name from users, generate_series(1, 3) n;
    select tenantry.share('countries'); select tenantry.exempt('schema_versions', 'says which migrations ran');
    select tenantry.protect('projects'); select tenantry.protect('tasks', owner_from => '{project_id}');
    select tenantry.protect('notes'); select tenantry.protect('logs', 'owner_id', 'user');
    select tenantry.protect('users', 'id');
    select tenantry.share(t) from unnest('{accounts,shops,desks,teams,leagues}'::regclass[]) t`)
  // Only a superuser still sees the rows from which the registry is filled.
  await on.db.admin.query('select tenantry.sync()')
  return on
}
