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
       and p.proowner = to_regrole('tenantry_owner')
  loop
    execute format('revoke all on routine %s from public', routine.signature);
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

-- ANALYZE keeps values of a column in pg_statistic, which members of pg_read_all_data may read: of keys it shall keep none.
do $statistics$
declare
  key record;
begin
  for key in
    select a.attrelid::regclass as relation, a.attname as name
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'tenantry_private' and c.relkind = 'r' and a.atttypid = 'bytea'::regtype and a.attnum > 0 and not a.attisdropped
     order by a.attrelid::regclass::text, a.attnum
  loop
    execute format('alter table %s alter column %I set statistics 0', key.relation, key.name);
  end loop;
end
$statistics$;

-- Meant for everybody: defaults and policies call them as whoever runs the statement, and they tell nobody more than
-- the context of their own session.
grant execute on function tenantry.principal(text, text), tenantry.reach(text, text, regclass), tenantry.entered(), tenantry.sets_up(), tenantry.glass_is_broken(), tenantry.actor(), tenantry.may(text), tenantry.whoami(),
  tenantry.leave(), tenantry.audience(), tenantry.version() to public;
-- A new partition of a kind's table takes over its trigger, so whoever creates partitions must be allowed to call this. It
-- cannot be called but as a trigger, and looks into the registry for what to follow.
grant execute on function tenantry_private.follow_kind(), tenantry_private.follow_membership(), tenantry_private.keep_owner(), tenantry_private.record_actor(), tenantry_private.reach_of(text, text, text), tenantry_private.is_without_context() to public;
-- Whoever creates tables knows nothing of tenantry. These work inside of an event trigger alone, on what its statement made.
grant execute on function tenantry_private.judge_ddl(), tenantry_private.settle_births() to public;
grant usage on schema tenantry_private to public;
grant select on tenantry.kinds, tenantry.tables, tenantry.membership_sources, tenantry.schemas, tenantry.rules, tenantry.encrypted_columns to public;
grant execute on function tenantry_private.privilege_names(integer), tenantry_private.privilege_list(integer), tenantry_private.encrypted_listing(), tenantry.wants_key_share() to public;

-- What decrypting views and accessors call as whoever reads: each gives nothing but sealed rings to anybody, and opens
-- only what the context of the session may.
grant execute on function
  tenantry_private.ring(text), tenantry_private.audited_ring(text, uuid[]),
  tenantry_private.ring_now(text), tenantry_private.ring_now(text, uuid[]),
  tenantry_private.open_text(text, text, uuid, text, bytea, boolean), tenantry_private.open_bytea(text, bytea, uuid, text, bytea, boolean),
  tenantry_private.part(bytea), tenantry_private.shaped(text), tenantry_private.shaped(bytea),
  tenantry.blind_index(uuid, text)
to tenantry_user, tenantry_admin, tenantry_facade;

-- Whoever works as somebody gives and takes.
grant execute on function tenantry.delegate(tenantry.entity, text[], tenantry.entity, timestamptz, regclass[], integer),
  tenantry.revoke(uuid, tenantry.entity, tenantry.entity), tenantry_private.visible_delegations(),
  tenantry.why(regclass, text[]), tenantry.who(regclass, text[]), tenantry_private.anchors(regclass, text[]), tenantry_private.view_on(regclass, name),
  tenantry_private.explained(regclass, text, text, text), tenantry_private.linked(text, text, regclass) to tenantry_user, tenantry_admin;
grant select on tenantry.delegations to tenantry_user, tenantry_admin;

-- The halves of the internal roles. The event triggers run as tenantry_owner.
grant execute on function
  tenantry_private.is_admin(), tenantry_private.require_admin(text), tenantry_private.require_declarable(regclass),
  tenantry_private.view_source(regclass, name), tenantry_private.record_view(regclass, name, text), tenantry_private.view_on(regclass, name),
  tenantry_private.view_name(regclass, name), tenantry_private.made_from(regclass, name), tenantry_private.views_in_the_way(text, name), tenantry_private.views_to_make(oid[], name),
  tenantry_private.make_view(regclass, name), tenantry_private.unmake_view(regclass, name),
  tenantry_private.suspend_views(text, name), tenantry_private.resume_views(name, oid[])
to tenantry_facade, tenantry_reach;
grant execute on function tenantry_private.lock_patiently(regclass, regclass, integer), tenantry_private.relation_tree(regclass) to tenantry_facade;
grant execute on function
  tenantry_private.is_admin(), tenantry_private.require_admin(text),
  tenantry_private.engine_queries(uuid, text), tenantry_private.job_place(regclass, text), tenantry_private.is_job_open(regclass, text), tenantry_private.keep_job_place(regclass, text, text[], bigint),
  tenantry_private.convert_values(uuid, text, bytea, text[], text[], text[], bytea[]), tenantry_private.part(bytea),
  tenantry_private.note_unopened(uuid, text, integer, text), tenantry_private.forget_unopened(uuid)
to tenantry_engine;

-- The entering functions go to each login that tenantry.allow() names, not to a group: roles are cluster-wide.

-- For DBAs. Every one of them also asks whether the login is an admin of this database.
grant select on tenantry.settings, tenantry.rollout_status, tenantry.rollout_quarantine, tenantry.rollout_log, tenantry.rollout_signals, tenantry.rollout_sources, tenantry.audit, tenantry.granted_across, tenantry.issuers, tenantry.key_status, tenantry.secret_readings, tenantry.unopened_values
to tenantry_admin;
grant execute on function
  tenantry.configure(text, text), tenantry.initialise(boolean),
  tenantry.register_issuer(text, bytea, interval, interval), tenantry.unregister_issuer(text),
  tenantry.assume(tenantry.entity, tenantry.entity),
  tenantry.register_kind(text, regclass, name, name, text, boolean), tenantry.unregister_kind(text),
  tenantry.register_entity(tenantry.entity, tenantry.entity, boolean), tenantry.unregister_entity(tenantry.entity),
  tenantry.register_service(tenantry.entity, text), tenantry.unregister_service(tenantry.entity, text),
  tenantry.register_membership(regclass, name, text, name, text, name, jsonb, text[]), tenantry.unregister_membership(regclass, text, text),
  tenantry.grant_across(name, regclass, text, text), tenantry.revoke_across(name, regclass),
  tenantry.allow(name, text, boolean), tenantry.disallow(name, text),
  tenantry.bind_role(name, tenantry.entity, boolean), tenantry.unbind_role(name),
  tenantry.protect(regclass, name, text, name[], name[], boolean, jsonb, text, name, boolean), tenantry.unprotect(regclass, boolean),
  tenantry.share(regclass, name[], boolean), tenantry.unshare(regclass, boolean),
  tenantry.exempt(regclass, text), tenantry.unexempt(regclass),
  tenantry.manage_schema(name, name, name, text), tenantry.unmanage_schema(name),
  tenantry.register_rule(name, text, name, text, name[]), tenantry.unregister_rule(name, text),
  tenantry.sync(boolean), tenantry.uninstall(boolean), tenantry.check(text),
  tenantry.create_master_key(bytea), tenantry.bring_key_share(bytea), tenantry.assume(tenantry.entity, tenantry.entity, bytea),
  tenantry.set_key_provider(text, text), tenantry.alter_table(regclass, text), tenantry.watch_ddl(), tenantry.finish_master_rotation(bytea), tenantry.shred(tenantry.entity, text),
  tenantry.encrypt_column(regclass, name, text[], boolean, boolean, regprocedure, boolean),
  tenantry.rollout(regclass, name, text, name[], name[], bigint, name[], jsonb, text, name, boolean), tenantry.rollout_end(regclass),
  tenantry.rollout_signal(regclass, integer, text, text), tenantry.rollout_unsignal(regclass, text),
  tenantry.rollout_from_column(regclass, name), tenantry.rollout_from_parent(regclass, name[], regclass, name[], name),
  tenantry.rollout_from_member(regclass, name, regclass, name, name, text), tenantry.rollout_from_json(regclass, name, text[]),
  tenantry.rollout_from_alias(regclass, name, regclass, name, name), tenantry.rollout_from_constant(regclass, tenantry.entity, text),
  tenantry.rollout_plan(regclass), tenantry.rollout_impact(regclass), tenantry.rollout_owners(regclass), tenantry.rollout_checksum(regclass),
  tenantry.rollout_resolve(regclass, tenantry.entity, text[]), tenantry.rollout_resolve_where(regclass, tenantry.entity, text)
to tenantry_admin;
grant execute on procedure
  tenantry.encrypt_existing(regclass, name, text[], text, bytea, integer), tenantry.unencrypt_column(regclass, name, text[], bytea, integer),
  tenantry.rotate_master_key(bytea, bytea, integer), tenantry.rotate_data_keys(bytea, tenantry.entity, integer),
  tenantry.rollout_to(regclass, text, integer), tenantry.rollout_help(regclass, integer)
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
             'record_entities', 'refresh_table_owners', 'follow_secrets',
             'view_source', 'record_view', 'views_in_the_way', 'views_to_make', 'make_view', 'unmake_view', 'suspend_views', 'resume_views', 'make_seal', 'follow_alter', 'keep_trigger_note', 'before_alter', 'after_alter', 'after_drop',
             'write_declaration', 'write_expressions', 'erase_declaration', 'make_reference_check', 'make_owner_fill', 'bear', 'birth_declaration', 'know_schema', 'weakness', 'refuse_weakening', 'refuses_change', 'watch', 'settle_watched', 'note_weakening', 'judge_policy', 'judge_trigger', 'judge_rule', 'judge_grants', 'judge_view', 'judge_ddl', 'bear_parts', 'is_new_part', 'is_followed_table', 'declared_of', 'settle_births', 'note_schemas', 'follow_schemas', 'after_ddl', 'follow_renames', 'write_rename', 'forget_exceptions',
             'links_of', 'walk', 'reached', 'held', 'passable', 'may_revoke', 'behind', 'note', 'givers_live', 'link_ends', 'chain_ends', 'count_membership', 'require_container', 'visible_delegations', 'way_to', 'is_allowed',
             -- keys, shares and plaintexts
             'aes_encrypt', 'aes_decrypt', 'expanded', 'keep_share', 'key_file', 'current_share', 'has_share', 'wrapped', 'unwrapped', 'unlock', 'key_of',
             'sealing_key', 'hold_sealing_keys', 'sealed_ring', 'ring_content', 'ring_contents', 'ring_of', 'may_open', 'note_reading', 'seal_bytes', 'open_bytes', 'key_on_ring', 'is_ours', 'is_for',
             'remember_insert', 'inserting_mac', 'inserted_place', 'seal_ring', 'opened_anywhere', 'settle_secret', 'index_key', 'ensure_index_key', 'index_value',
             'make_import', 'drop_idle_imports', 'imported', 'convert_values', 'note_unopened', 'forget_unopened', 'key_file'])
       and p.proowner = to_regrole('tenantry_owner')
  loop
    execute format('grant execute on routine %s to tenantry_admin', routine.signature);
  end loop;
end
$admin$;
