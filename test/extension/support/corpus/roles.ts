import type { Case } from './case.js'

/** What is wrong with roles, what they may create, keys and the package itself. */
export const roles: readonly Case[] = [
  {
    name: 'a schema in which everybody creates',
    given: 'grant create on schema public to public',
    found: 'critical schema_create',
  },
  {
    name: 'a schema in which the application creates',
    given: 'grant create on schema public to @app',
    found: 'critical schema_create',
  },
  {
    name: 'another schema in which the application creates',
    given: 'create schema scratch; grant create on schema scratch to @app',
    found: 'critical schema_create',
  },
  {
    name: 'a schema that the application owns',
    given: 'create schema theirs authorization @app',
    found: 'critical schema_create',
  },
  {
    name: 'an application that may create schemas',
    given: 'grant create on database @db to @app',
    found: 'critical database_create',
  },
  {
    name: 'an application that is an admin, too',
    given: `select tenantry.allow(@'app', 'admin')`,
    found: 'critical login_admin',
  },
  {
    name: `a member of tenantry's own roles`,
    given: 'grant tenantry_facade to @extra',
    found: 'critical internal_role_member',
  },
  {
    name: 'temporary tables for everybody',
    given: 'grant temporary on database @db to public',
    found: 'critical temporary_privilege',
  },
  {
    name: 'temporary tables for the application',
    given: 'grant temporary on database @db to @app',
    found: 'critical temporary_privilege',
  },
  {
    name: 'an application login with BYPASSRLS',
    given: 'alter role @app bypassrls',
    found: 'critical login_unbound',
  },
  {
    name: 'an application login that may become somebody unbound',
    given: `select tenantry.allow(@'extra'); grant pg_read_all_data to @extra`,
    found: 'critical login_unbound',
  },
  {
    name: 'an application login that owns what is protected',
    given: `select tenantry.allow(@'extra'); grant create on schema public to @extra; alter table notes owner to @extra; revoke create on schema public from @extra`,
    found: 'critical login_owns',
  },
  {
    name: 'an application login outside the group',
    given: 'revoke tenantry_user from @app',
    found: 'warning login_outside',
  },
  {
    name: 'a search_path that temporary objects lead',
    given: 'alter role @app in database @db set search_path = public',
    found: 'warning login_search_path',
  },
  {
    name: 'a login of another database',
    given: 'grant tenantry_user to @extra; grant connect on database @db to @extra',
    found: 'info login_of_another_database',
  },
  {
    name: 'no key',
    given: 'delete from tenantry_private.signing_keys',
    found: 'warning signing_key_missing',
  },
  {
    name: 'no issuer',
    given: 'delete from tenantry_private.issuer_keys',
    found: 'info issuer_missing',
    fill: [`'<kid>', '\\x<at least 32 bytes>'`, `'k', '\\x${'ab'.repeat(32)}'`],
  },
  {
    name: 'a definer function that belongs to somebody else',
    given: 'alter function tenantry.actor() owner to @owner',
    found: 'critical definer_owner',
  },
  {
    name: `a definer function of tenantry's that everybody may call`,
    given: 'grant execute on function tenantry_private.secret_state() to public',
    found: 'critical definer_open',
  },
  {
    name: `a definer function of tenantry's that calls what its caller says`,
    given: 'alter function tenantry.actor() reset search_path',
    found: 'critical definer_open',
  },
]
