import { protectedBase } from '../protected-base.js'
import type { Stage } from '../stage.js'

/** The application's share of the master key, as an SQL literal. */
export const share = `'\\x${'ab'.repeat(32)}'`

/**
 * The protected application with everything in it that check() looks at: members and containers, rows that are public, rows
 * that say who wrote them, and a secret. Nothing is found there, not even at severity info.
 */
export async function corpusBase(): Promise<Stage> {
  const on = await protectedBase()
  await on.setUp.query(`
    create table orgs (id int primary key, name text);
    insert into orgs values (1, 'One');
    select tenantry.register_kind('org', 'orgs');
    select tenantry.share('orgs');
    create table members (org_id int references orgs, user_id uuid references users, role text not null, primary key (org_id, user_id));
    select tenantry.register_membership('members', member_column => 'user_id', member_kind => 'user',
      container_column => 'org_id', container_kind => 'org', role_column => 'role', roles => '{"owner": ["all"], "member": ["select"]}');
    select tenantry.exempt('members', 'written by nobody but the owner of the tables');
    create table posts (id int primary key, owner_id uuid not null references users, org_id int references orgs,
      open boolean not null default false, created_by text, body text);
    select tenantry.protect('posts', 'owner_id', 'user', shared_by => '{"org_id": "org"}', public_when => 'open', actor_column => 'created_by');
    select tenantry.create_master_key(${share});
    create table vault (id int primary key, owner_id uuid not null references users, token text);
    select tenantry.protect('vault');
    select tenantry.encrypt_column('vault', 'token')`)
  return on
}
