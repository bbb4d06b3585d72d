-- The decrypting view tenant.<table>, of tenantry_facade, whom row-level security binds: it shows the own path. No
-- security_barrier, which would keep LIMIT and joins from the indexes; policies run before any function of a user's all the
-- same. Views are made by their owner's own functions, so that nothing of it ever belongs to anybody else.

create function tenantry_private.facade_text(target regclass)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return tenantry_private.facade_source(target);
end
$$;

comment on function tenantry_private.facade_text(regclass) is 'The query of tenant.<table>, for its owner.';

create function tenantry_private.record_facade(target regclass, source text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  delete from tenantry_private.facades f where f.relation = target;
  if source is not null then
    insert into tenantry_private.facades (relation, source) values (target, source);
  end if;
end
$$;

comment on function tenantry_private.record_facade(regclass, text) is 'Remembers what a decrypting view was made from; null forgets it. For the views'' owner.';

-- Found by what it reads, since either may be renamed.
create function tenantry_private.facade(target regclass)
returns regclass
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select min(w.ev_class)::regclass
    from pg_catalog.pg_depend d
    join pg_catalog.pg_rewrite w on w.oid = d.objid
    join pg_catalog.pg_class v on v.oid = w.ev_class and v.relnamespace = to_regnamespace('tenant') and v.relowner = to_regrole('tenantry_facade')
   where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = target);

comment on function tenantry_private.facade(regclass) is 'The decrypting view of a table; null where there is none.';

create function tenantry_private.facade_made_from(target regclass)
returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
return (
  select f.source
    from tenantry_private.facades f
    join pg_catalog.pg_class v on v.oid = tenantry_private.facade(target)
    join pg_catalog.pg_class c on c.oid = target and c.relname = v.relname
   where f.relation = target);

comment on function tenantry_private.facade_made_from(regclass) is 'What the decrypting view of a table was made from; null where there is none of its name.';

create function tenantry_private.facades_to_follow()
returns table (relation regclass, relation_name name, made boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  -- Only of tables that belong to whoever is there.
  return query
  select f.relation, c.relname, tenantry_private.facade(f.relation) is not null
    from tenantry_private.facades f
    join pg_catalog.pg_class c on c.oid = f.relation
   where pg_has_role(session_user, c.relowner, 'member')
     -- a restore adds the primary key after everything else
     and tenantry_private.primary_key(f.relation) is not null;
end
$$;

comment on function tenantry_private.facades_to_follow() is 'Tables of whoever is there that have, or should have, a decrypting view.';

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
  'Locks a table, or its view and with it the table, without keeping others waiting. Error: 55P03, which names who holds it, after about 20 seconds.';

grant create on schema tenantry_private to tenantry_facade;
set local role tenantry_facade;

create function tenantry_private.make_facade(target regclass)
returns void
language plpgsql volatile
as $$
declare
  source constant text := tenantry_private.facade_text(target);
  old    constant regclass := tenantry_private.facade(target);
  view   constant text := format('tenant.%I', (select c.relname from pg_catalog.pg_class c where c.oid = target));
begin
  if old is not null then
    execute format('drop view %s', old);
  end if;
  if source is null then
    return;
  end if;
  perform tenantry_private.record_facade(target, source);
  execute format('create view %s as %s', view, source);
  execute format('comment on view %s is %L', view,
    format('Own rows of %s, with secrets decrypted. Write through the table itself.', target));
  execute format('grant select, insert, update, delete on %s to tenantry_user', view);
end
$$;

comment on function tenantry_private.make_facade(regclass) is 'Makes, or makes anew, the decrypting view of a table: for the functions of tenantry_facade.';

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
  perform tenantry_private.make_facade(target);
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
declare
  view constant regclass := tenantry_private.facade(target);
begin
  perform tenantry_private.require_admin('make decrypting views');
  perform tenantry_private.require_declarable(target);
  perform tenantry_private.record_facade(target, null);
  if view is not null then
    execute format('drop view %s', view);
  end if;
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
  view constant regclass := tenantry_private.facade(target);
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
declare
  item record;
begin
  for item in select * from tenantry_private.facades_to_follow() f where f.made and strpos(lower(statement), lower(f.relation_name)) > 0 loop
    execute format('drop view %s', tenantry_private.facade(item.relation));
  end loop;
end
$$;

comment on function tenantry_private.suspend_facades(text) is 'Drops the decrypting views of the tables that a statement names, so that their columns can be dropped or retyped; resume_facades() makes them anew.';

create function tenantry_private.resume_facades()
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  item record;
begin
  for item in
    select * from tenantry_private.facades_to_follow() f
     where tenantry_private.facade_made_from(f.relation) is distinct from tenantry_private.facade_text(f.relation)
  loop
    perform tenantry_private.make_facade(item.relation);
  end loop;
end
$$;

comment on function tenantry_private.resume_facades() is 'Makes the decrypting views of whoever''s tables these are anew, where they are missing or not as declared.';

revoke all on function tenantry_private.make_facade(regclass), tenantry_private.define_facade(regclass), tenantry_private.drop_facade(regclass),
  tenantry_private.lock_facade(regclass), tenantry_private.suspend_facades(text), tenantry_private.resume_facades() from public;
grant execute on function tenantry_private.lock_facade(regclass) to tenantry_admin;
grant execute on function tenantry_private.suspend_facades(text), tenantry_private.resume_facades() to tenantry_owner, tenantry_admin;
grant execute on function tenantry_private.define_facade(regclass), tenantry_private.drop_facade(regclass) to tenantry_admin;

set local role tenantry_owner;
revoke create on schema tenantry_private from tenantry_facade;
