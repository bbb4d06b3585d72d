import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type pg from 'pg'
import { expect } from 'vitest'
import { blocksOf } from '../../docs/blocks.js'
import { testDatabase, type TestDatabase, type TestRole } from '../../support/database.js'
import { repositoryRoot } from '../../support/repository.js'

export const alice = '6f1c0000-0000-4000-8000-000000000001'
export const bob = '6f1c0000-0000-4000-8000-000000000002'

/** The block of extension/doc/migrations.md that somebody runs. */
export function documented(who: string): string {
  const page = blocksOf(join(repositoryRoot, 'extension/doc/migrations.md'))
  return page.find(({ run }) => run === who)!.text
}

/** A folder in which tools run that find a database by DATABASE_URL. */
export interface ToolFolder {
  readonly folder: string
  /** Writes a file of the application's. */
  write(name: string, text: string): void
  /** Runs a program of node_modules; what it says. */
  run(program: string, ...args: readonly string[]): Promise<string>
  remove(): void
}

export function toolFolder(url: string): ToolFolder {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-migrations-'))
  symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'))
  return {
    folder,
    write(name, text) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    },
    run: (program, ...args) =>
      new Promise((resolve, reject) => {
        const child = execFile(
          join(folder, 'node_modules/.bin', program),
          args,
          {
            cwd: folder,
            env: { ...process.env, DATABASE_URL: url, NO_COLOR: '1', CI: '1' },
            timeout: 50_000,
          },
          (error, out, err) => {
            // eslint-disable-next-line no-control-regex
            const plain = `${out}\n${err}`.replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, '')
            // Stacks of their own would be taken for this process's.
            const said = plain.replaceAll(/^\s+at .*\n?/gm, '')
            // drizzle-kit ends with 0 after some errors.
            const failed = error ?? /^\s*(error|Error):? /m.exec(said)
            if (failed) reject(new Error(`${program} ${args.join(' ')}: ${said}`))
            else resolve(said)
          },
        )
        child.stdin?.end()
      }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** An application whose tables belong to a role that migrates them and knows nothing of tenantry. */
export interface Project extends Omit<ToolFolder, 'remove'> {
  readonly db: TestDatabase
  readonly owner: TestRole
  /** Declares what there is, as a superuser. */
  protect(): Promise<void>
  /** Sees that everybody still has exactly their rows, on every path, and what check() finds. */
  stillProtected(): Promise<string[]>
  /** Sees that the application may not even look at a table. */
  closed(table: string): Promise<void>
  /** Rows as somebody's own login. */
  as(who: 'alice' | 'bob', sql: string): Promise<Record<string, unknown>[]>
  drop(): Promise<void>
}

export async function project(): Promise<Project> {
  const db = await testDatabase()
  const owner = await db.role('migrator', { ordinary: false })
  const quoted = `"${owner.name}"`
  await db.admin.query(
    `grant create, usage on schema public to ${quoted}; grant create on database "${db.name}" to ${quoted}`,
  )
  const { remove, ...tools } = toolFolder(owner.url)
  const people: Partial<Record<'alice' | 'bob', pg.Client>> = {}
  const as: Project['as'] = async (who, sql) =>
    (await people[who]!.query<Record<string, unknown>>(sql)).rows

  return {
    db,
    owner,
    ...tools,
    async protect() {
      await db.admin.query(`select tenantry.register_kind('user', 'users');
        select tenantry.initialise(true);
        select tenantry.create_master_key(sha256('a share of the tests'))`)
      await db.admin.query(`${documented('manage').replace('app_migrator', owner.name)}
        select * from tenantry.protect('users', owner_column => 'id');
        select * from tenantry.protect('projects', owner_column => 'owner_id');
        select * from tenantry.protect('tasks', owner_from => '{project_id}');
        select * from tenantry.share('countries');
        select tenantry.register_kind('org', 'orgs', owner_column => 'owner_id', owner_kind => 'user');
        select tenantry.register_membership('members', member_column => 'user_id', member_kind => 'user',
          container_column => 'org_id', container_kind => 'org', roles => '["select", "insert"]');
        select * from tenantry.protect('orgs', owner_column => 'owner_id');
        select * from tenantry.protect('members', owner_column => 'user_id', unchecked_references => '{org_id}');
        select * from tenantry.protect('posts', owner_column => 'author_id', owner_kind => 'user',
          shared_by => '{"org_id": "org"}', public_when => 'is_public');
        select * from tenantry.protect('bills', owner_column => 'org_id', owner_kind => 'org');
        select * from tenantry.encrypt_column('projects', 'api_key', blind_index => true)`)
      await db.admin
        .query(`insert into users (id, email) values ('${alice}', 'a@x'), ('${bob}', 'b@x');
        insert into projects (owner_id, name) values ('${alice}', 'of alice'), ('${bob}', 'of bob');
        insert into tasks (project_id, title) select id, name from projects`)
      for (const [who, id] of [
        ['alice', alice],
        ['bob', bob],
      ] as const) {
        const login = await db.role(who)
        await db.admin.query('select tenantry.bind_role($1, $2)', [login.name, `user:${id}`])
        people[who] = await login.connect()
      }
      // As people do who have forgotten it: new tables are everybody's.
      await db.admin.query(`select * from tenantry.sync();
        alter default privileges for role "${owner.name}" in schema public grant select on tables to tenantry_user`)
    },
    async stillProtected() {
      for (const who of ['alice', 'bob'] as const) {
        const own = [{ owner_id: who === 'alice' ? alice : bob }]
        for (const table of ['projects', 'tasks', 'reach.projects', 'reach.tasks']) {
          expect(await as(who, `select owner_id from ${table}`), table).toEqual(own)
        }
        expect(await as(who, 'select owner_id from tenant.projects')).toEqual(own)
      }
      const client = people.alice!
      await client.query('begin')
      const { rows } = await client.query(
        `insert into projects (name) values ('new') returning owner_id`,
      )
      await client.query('rollback')
      expect(rows, 'its owner by default').toEqual([{ owner_id: alice }])
      const findings = await db.admin.query<{ code: string; object: string }>(
        `select code, object from tenantry.check() order by code, object`,
      )
      return findings.rows.map(({ code, object }) => `${code} ${object}`)
    },
    async closed(table) {
      await expect(as('alice', `select from ${table}`)).rejects.toMatchObject({ code: '42501' })
    },
    as,
    async drop() {
      await db.drop()
      remove()
    },
  }
}

/** The tables as SQL, for tools that describe none. */
export const tables = `
  create table users     (id uuid primary key default gen_random_uuid(), email text not null unique);
  create table projects  (id bigint generated always as identity primary key, owner_id uuid not null references users, name text not null, api_key text);
  create table tasks     (id bigint generated always as identity primary key, project_id bigint not null references projects, title text not null);
  create table orgs      (id bigint generated by default as identity primary key, owner_id uuid not null references users);
  create table members   (org_id bigint not null references orgs, user_id uuid not null references users, primary key (org_id, user_id));
  create table posts     (id bigint generated always as identity primary key, author_id uuid not null references users, org_id bigint references orgs, is_public boolean not null default false);
  create table bills     (id bigint generated always as identity primary key, org_id bigint not null references orgs, amount numeric(10, 2) not null);
  create table countries (code text primary key, name text not null);`
