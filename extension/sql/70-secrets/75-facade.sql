-- What the owner of the decrypting views tenant.<table> does: they show the own path.

-- Whoever waits for ACCESS EXCLUSIVE makes everybody after him wait. So the lock is had within a moment, or let go and tried
-- again, a little later each time by chance.
create function tenantry_private.lock_patiently(target regclass, locked regclass, attempts integer default 200)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  before  constant text := current_setting('lock_timeout');
  holders text;
begin
  for attempt in 1 .. attempts loop
    begin
      if attempt % 50 = 5 then
        -- It may be autovacuum, which gives way to whoever waits for longer than deadlock_timeout. Waiting for this lock keeps
        -- neither readers nor writers from the table.
        perform set_config('lock_timeout', (select least(s.setting::bigint + 500, 5000) from pg_catalog.pg_settings s where s.name = 'deadlock_timeout')::text, true);
        execute format('lock table %s in share update exclusive mode', locked);
      end if;
      perform set_config('lock_timeout', '50ms', true);
      execute format('lock table %s in access exclusive mode', locked);
      perform set_config('lock_timeout', before, true);
      return;
    exception
      when lock_not_available or deadlock_detected then
        -- Locks taken in this block are gone with it.
        perform pg_sleep(0.02 + random() * 0.1);
    end;
  end loop;
  select string_agg(format('process %s (%s)', h.pid, coalesce(h.usename, 'of another role')), ', ' order by h.pid)
    into holders
    from (select distinct l.pid, a.usename
            from pg_catalog.pg_locks l
            left join pg_catalog.pg_stat_activity a on a.pid = l.pid
           where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
             and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
             and (l.relation in (target, locked) or l.relation in (select tree.relation from tenantry_private.relation_tree(target) tree))) h;
  raise exception 'other transactions have held % for too long: %', target, coalesce(holders, 'they have ended just now')
    using errcode = '55P03', hint = 'Run it again when they have ended. What they do: select pid, state, xact_start, query from pg_stat_activity; to end one: select pg_terminate_backend(<process>);';
end
$$;

comment on function tenantry_private.lock_patiently(regclass, regclass, integer) is
  'Locks a table, or its view and with it the table, without keeping others waiting. Autovacuum of it is ended. Error: 55P03, which names who holds it, after about 20 seconds.';

grant create on schema tenantry_private to tenantry_facade;
set local role tenantry_facade;

create function tenantry_private.define_facade(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('make decrypting views');
  perform tenantry_private.require_declarable(target);
  perform tenantry_private.make_view(target, 'tenant');
end
$$;

comment on function tenantry_private.define_facade(regclass) is 'Makes, or makes anew, the decrypting view of a table.';

create function tenantry_private.drop_facade(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('make decrypting views');
  perform tenantry_private.require_declarable(target);
  perform tenantry_private.unmake_view(target, 'tenant');
end
$$;

comment on function tenantry_private.drop_facade(regclass) is 'Drops the decrypting view of a table.';

-- Transactions of the application may hold the table and then want the view. So neither is waited for while the other is
-- held.
create function tenantry_private.lock_facade(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  view constant regclass := tenantry_private.view_on(target, 'tenant');
begin
  perform tenantry_private.require_admin('make decrypting views');
  perform tenantry_private.require_declarable(target);
  if view is not null then
    perform tenantry_private.lock_patiently(target, view);
  end if;
end
$$;

comment on function tenantry_private.lock_facade(regclass) is 'Locks the decrypting view of a table, and with it the table. Error: 55P03 after about 20 seconds.';

-- For the event triggers on ALTER TABLE: whoever may alter a table may have its view made anew.
create function tenantry_private.suspend_facades(statement text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.suspend_views(statement, 'tenant');
end
$$;

comment on function tenantry_private.suspend_facades(text) is 'Drops the decrypting views of the tables that a statement names, so that their columns can be dropped or retyped; resume_facades(oid[]) makes them anew.';

create function tenantry_private.resume_facades(altered oid[])
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.resume_views('tenant', altered);
end
$$;

comment on function tenantry_private.resume_facades(oid[]) is 'Makes the decrypting views of whoever''s tables these are anew: those dropped before the statement, and those of tables that were altered and not as declared.';

revoke all on function tenantry_private.define_facade(regclass), tenantry_private.drop_facade(regclass),
  tenantry_private.lock_facade(regclass), tenantry_private.suspend_facades(text), tenantry_private.resume_facades(oid[]) from public;
grant execute on function tenantry_private.lock_facade(regclass) to tenantry_admin;
grant execute on function tenantry_private.suspend_facades(text), tenantry_private.resume_facades(oid[]) to tenantry_owner, tenantry_admin;
grant execute on function tenantry_private.define_facade(regclass), tenantry_private.drop_facade(regclass) to tenantry_admin;

set local role tenantry_owner;
revoke create on schema tenantry_private from tenantry_facade;
