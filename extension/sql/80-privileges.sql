-- Every privilege that tenantry gives on itself, in one place. PostgreSQL gives EXECUTE on new functions to PUBLIC, so
-- that is taken from all of them first.
do $revoke$
declare
  routine record;
begin
  for routine in
    select p.oid::regprocedure as signature
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where n.nspname in ('tenantry', 'tenantry_private')
  loop
    execute format('revoke all on function %s from public', routine.signature);
  end loop;
end
$revoke$;

-- Nobody but the owner of the package reads or writes its tables, members of pg_read_all_data and pg_write_all_data
-- included. Enabled, not forced, and no policy: see the keys.
do $close$
declare
  relation record;
begin
  for relation in
    select c.oid::regclass as name
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'tenantry_private' and c.relkind = 'r' and not c.relrowsecurity
  loop
    execute format('alter table %s enable row level security', relation.name);
  end loop;
end
$close$;

-- Meant for everybody: defaults and policies call them as whoever runs the statement, and they tell nobody more than
-- the context of their own session.
grant execute on function tenantry.principal(text, text), tenantry.actor(), tenantry.may(text), tenantry.whoami(),
  tenantry.leave(), tenantry.audience(), tenantry.version() to public;
-- A new partition of a kind's table takes over its trigger, so whoever creates partitions must be allowed to call this. It
-- cannot be called but as a trigger, and looks into the registry for what to follow.
grant execute on function tenantry_private.follow_kind() to public;
grant select on tenantry.kinds, tenantry.tables, tenantry.schemas to public;

-- The entering functions go to each login that tenantry.allow() names, not to a group: roles are cluster-wide.

-- For DBAs. Every one of them also asks whether the login is an admin of this database.
grant select on tenantry.issuers to tenantry_admin;
grant execute on function
  tenantry.configure(text, text), tenantry.initialise(boolean),
  tenantry.register_issuer(text, bytea, interval, interval), tenantry.unregister_issuer(text),
  tenantry.assume(tenantry.entity, tenantry.entity),
  tenantry.register_kind(text, regclass, name, name, text, boolean), tenantry.unregister_kind(text),
  tenantry.register_entity(tenantry.entity, tenantry.entity, boolean), tenantry.unregister_entity(tenantry.entity),
  tenantry.register_service(tenantry.entity, text), tenantry.unregister_service(tenantry.entity, text),
  tenantry.allow(name, text, boolean), tenantry.disallow(name, text),
  tenantry.bind_role(name, tenantry.entity, boolean), tenantry.unbind_role(name),
  tenantry.protect(regclass, name, text, name[], name[], boolean), tenantry.unprotect(regclass, boolean),
  tenantry.share(regclass, name[], boolean), tenantry.unshare(regclass, boolean),
  tenantry.exempt(regclass, text), tenantry.unexempt(regclass),
  tenantry.manage_schema(name, name), tenantry.unmanage_schema(name),
  tenantry.sync(boolean), tenantry.uninstall(boolean), tenantry.check(text)
to tenantry_admin;

do $admin$
declare
  routine record;
begin
  -- The halves and plans behind those functions; none of them does more for its caller than the caller may do.
  for routine in
    select p.oid::regprocedure as signature
      from pg_catalog.pg_proc p
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'tenantry_private'
       and p.proname <> all (array[
             'hmac_sha256', 'random_bytes', 'signed_bytes', 'same_mac', 'opened', 'current_signer', 'sealed', 'set_context', 'open_context',
             'ambient_context', 'session_binding', 'login_refusal', 'require_ordinary_login', 'issuer_of', 'verified_claims', 'issuer_by_header', 'admitted', 'settle', 'enter_for_pass',
             'record_entities', 'refresh_table_owners'])
  loop
    execute format('grant execute on function %s to tenantry_admin', routine.signature);
  end loop;
end
$admin$;
