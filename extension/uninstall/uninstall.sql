-- Takes tenantry out of this database, however it was installed. The application's tables stay, usable, with their owner
-- columns, indexes and composite keys; row-level security goes back to what it was. Run as a superuser or as the
-- role that installed tenantry. One transaction: it ends whole or not at all.
begin;
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = notice;

select * from tenantry.uninstall();

do $uninstall$
declare
  installer constant name    := current_user;
  superuser constant boolean := (select r.rolsuper from pg_roles r where r.rolname = current_user);
  login     record;
  left_over text;
  home      name;
begin
  for login in select role_name from tenantry_private.allowed_logins() where granted_as = 'user' loop
    raise notice 'role % keeps its membership of tenantry_user and its search_path', login.role_name;
  end loop;
  raise notice 'the roles tenantry_* stay, since other databases of the cluster may use them; to drop them: drop role tenantry_owner, tenantry_engine, tenantry_facade, tenantry_reach, tenantry_user, tenantry_admin, tenantry_maintenance';
  raise notice 'TEMPORARY stays revoked from PUBLIC; to give it back: grant temporary on database % to public', current_database();
  if exists (select from pg_extension where extname = 'tenantry') then
    drop extension tenantry;
  else
    -- CASCADE reaches the package's own objects only: whatever else still hangs on them stops it here.
    select string_agg(distinct pg_describe_object(d.classid, d.objid, d.objsubid), ', ')
      into left_over
      from pg_depend d
      join (select 'pg_proc'::regclass as class, p.oid from pg_proc p
             where p.pronamespace in ('tenantry'::regnamespace, 'tenantry_private'::regnamespace)
            union all
            select 'pg_type'::regclass, t.oid from pg_type t where t.typnamespace = 'tenantry'::regnamespace
            union all
            select 'pg_class'::regclass, c.oid from pg_class c
             where c.relnamespace in ('tenantry'::regnamespace, 'tenantry_private'::regnamespace)) ours
        on ours.class = d.refclassid and ours.oid = d.refobjid
     where d.deptype = 'n'
       and not (d.classid = 'pg_event_trigger'::regclass
                and exists (select from pg_event_trigger e where e.oid = d.objid and e.evtname in ('tenantry_before_alter', 'tenantry_after_alter', 'tenantry_after_drop', 'tenantry_after_ddl')))
       and coalesce((pg_identify_object(d.classid, d.objid, d.objsubid)).schema, '') not in ('tenantry', 'tenantry_private')
       and (pg_identify_object(d.classid, d.objid, d.objsubid)).identity !~ ' on tenantry(_private)?\.'
       and pg_describe_object(d.classid, d.objid, d.objsubid) !~ ' (on|of|for) (table|view|column \S+ of table)? ?tenantry(_private)?\.';
    if left_over is not null then
      raise exception 'tenantry is still used by: %', left_over
        using errcode = 'TN011', hint = 'Drop or change these first, then run uninstall.sql again.';
    end if;
    -- The schemas belong to tenantry_owner; an ordinary installer becomes its member for this transaction only.
    if not superuser then
      execute format(case when current_setting('server_version_num')::integer >= 160000
        then 'grant tenantry_owner, tenantry_facade, tenantry_reach, tenantry_engine to %I with set true, inherit false'
        else 'grant tenantry_owner, tenantry_facade, tenantry_reach, tenantry_engine to %I' end, installer);
      set local role tenantry_facade;
    end if;
    drop schema tenant;
    drop function tenantry_private.define_facade(regclass), tenantry_private.drop_facade(regclass),
      tenantry_private.lock_facade(regclass), tenantry_private.suspend_facades(text), tenantry_private.resume_facades(oid[]);
    if not superuser then
      set local role tenantry_reach;
    end if;
    drop schema reach;
    drop function tenantry_private.define_reach_view(regclass), tenantry_private.drop_reach_view(regclass),
      tenantry_private.suspend_reach_views(text), tenantry_private.resume_reach_views(oid[]), tenantry_private.make_born_view(regclass);
    if not superuser then
      set local role tenantry_engine;
    end if;
    drop function tenantry_private.engine_batch(regclass, uuid, text, bytea, integer);
    if not superuser then
      set local role tenantry_owner;
    end if;
    drop schema tenantry, tenantry_private cascade;
    if not superuser then
      execute format('set local role %I', installer);
      execute format(case when current_setting('server_version_num')::integer >= 160000
        then 'revoke tenantry_owner, tenantry_facade, tenantry_reach, tenantry_engine from %1$I granted by %1$I'
        else 'revoke tenantry_owner, tenantry_facade, tenantry_reach, tenantry_engine from %1$I' end, installer);
    end if;
  end if;
  -- Given at installation where pgcrypto does not stand in a schema that everybody may use.
  for home in
    select n.nspname
      from pg_extension e
      join pg_namespace n on n.oid = e.extnamespace
     where e.extname = 'pgcrypto'
       and exists (select from aclexplode(n.nspacl) a where a.grantee = to_regrole('tenantry_owner'))
  loop
    execute format('revoke usage on schema %I from tenantry_owner', home);
  end loop;
end
$uninstall$;
commit;
