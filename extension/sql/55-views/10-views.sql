-- The views on protected tables: tenant.<table>, which decrypts, and reach.<table>, which shows all that one may reach. Each
-- belongs to an internal role whom row-level security binds, and is made by that role's own functions, so that nothing of it
-- ever belongs to anybody else; those call what stands here. No security_barrier, which would keep LIMIT and joins from the
-- indexes; policies run before any function of a user's all the same.

create table tenantry_private.views (
  relation  regclass not null,
  path      name     not null check (path in ('tenant', 'reach')),
  source    text     not null,
  suspended boolean  not null default false,
  primary key (relation, path)
);

comment on table tenantry_private.views is 'The views on protected tables, with the text that each was made from.';
comment on column tenantry_private.views.relation is 'The table.';
comment on column tenantry_private.views.path is 'The schema of the view: tenant or reach.';
comment on column tenantry_private.views.source is 'The query of the view.';
comment on column tenantry_private.views.suspended is 'Whether it is out of the way of a statement under way.';

create function tenantry_private.view_source(target regclass, path name)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return case path when 'tenant' then tenantry_private.facade_source(target) else tenantry_private.reach_source(target) end;
end
$$;

comment on function tenantry_private.view_source(regclass, name) is 'The query of the view of a table on a path; null for a table that has none.';

create function tenantry_private.record_view(target regclass, the_path name, source text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  delete from tenantry_private.views v where v.relation = target and v.path = the_path;
  if source is not null then
    insert into tenantry_private.views (relation, path, source) values (target, the_path, source);
  end if;
end
$$;

comment on function tenantry_private.record_view(regclass, name, text) is 'Remembers what a view was made from; null forgets it. For the views'' owners.';

-- Found by what it reads, since either may be renamed.
create function tenantry_private.view_on(target regclass, path name)
returns regclass
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select min(w.ev_class)::regclass
      from pg_catalog.pg_depend d
      join pg_catalog.pg_rewrite w on w.oid = d.objid
      join pg_catalog.pg_class v on v.oid = w.ev_class and v.relnamespace = to_regnamespace(path)
                                and v.relowner = to_regrole(case path when 'tenant' then 'tenantry_facade' else 'tenantry_reach' end)
     where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = target);
end
$$;

comment on function tenantry_private.view_on(regclass, name) is 'The view of a table on a path; null where there is none.';

-- Called like the table. On the reach path two schemas may have a table of one name: the second is called schema_table.
create function tenantry_private.view_name(target regclass, path name)
returns name
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select case when path = 'reach' and exists (
                       select
                         from pg_catalog.pg_class v
                        where v.relnamespace = to_regnamespace(path) and v.relname = c.relname
                          and v.oid is distinct from tenantry_private.view_on(target, path))
                then left(n.nspname || '_' || c.relname, 60)::name else c.relname end
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = target);
end
$$;

comment on function tenantry_private.view_name(regclass, name) is 'How the view of a table on a path is called.';

create function tenantry_private.made_from(target regclass, the_path name)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  recorded text;
begin
  select m.source into recorded from tenantry_private.views m where m.relation = target and m.path = the_path;
  if recorded is null or not exists (
       select
         from pg_catalog.pg_class v
         join pg_catalog.pg_class c on c.oid = target
        where v.oid = tenantry_private.view_on(target, the_path)
          -- No other view there can have the table's name then.
          and (v.relname = c.relname or v.relname = tenantry_private.view_name(target, the_path))) then
    return null;
  end if;
  return recorded;
end
$$;

comment on function tenantry_private.made_from(regclass, name) is 'What the view of a table on a path was made from; null where there is none of its name.';

-- Only of tables that belong to whoever is there.
create function tenantry_private.views_in_the_way(statement text, the_path name)
returns setof regclass
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
    select m.relation, tenantry_private.view_on(m.relation, the_path) as made
      from tenantry_private.views m
      join pg_catalog.pg_class c on c.oid = m.relation
     where m.path = the_path and strpos(lower(statement), lower(c.relname)) > 0
       and pg_has_role(session_user, c.relowner, 'member')
       -- a restore adds the primary key after everything else, and nothing can be decrypted without it
       and (the_path <> 'tenant' or tenantry_private.primary_key(m.relation) is not null)
  loop
    update tenantry_private.views m set suspended = true where m.relation = item.relation and m.path = the_path;
    if item.made is not null then
      return next item.made;
    end if;
  end loop;
end
$$;

comment on function tenantry_private.views_in_the_way(text, name) is 'The views on a path of the tables that a statement names, which are to be dropped now.';

create function tenantry_private.views_to_make(altered oid[], the_path name)
returns setof regclass
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  item record;
  made name;
begin
  for item in
    select m.relation, m.source, m.suspended, c.relname
      from tenantry_private.views m
      join pg_catalog.pg_class c on c.oid = m.relation
     where m.path = the_path and (m.suspended or m.relation = any (altered))
       and pg_has_role(session_user, c.relowner, 'member')
       and (the_path <> 'tenant' or tenantry_private.primary_key(m.relation) is not null)
  loop
    if item.suspended then
      update tenantry_private.views m set suspended = false where m.relation = item.relation and m.path = the_path;
    end if;
    select v.relname into made from pg_catalog.pg_class v where v.oid = tenantry_private.view_on(item.relation, the_path);
    if made is null or item.source is distinct from tenantry_private.view_source(item.relation, the_path)
       or made <> item.relname and made <> tenantry_private.view_name(item.relation, the_path) then
      return next item.relation;
    end if;
  end loop;
end
$$;

comment on function tenantry_private.views_to_make(oid[], name) is 'Tables whose view on a path is to be made anew: it was dropped before the statement, or the table was altered and it is not as declared.';

create function tenantry_private.make_view(target regclass, path name)
returns void
language plpgsql volatile
as $$
declare
  source constant text := tenantry_private.view_source(target, path);
  old    constant regclass := tenantry_private.view_on(target, path);
  view   text;
begin
  if old is not null then
    execute format('drop view %s', old);
  end if;
  if source is null then
    return;
  end if;
  view := format('%I.%I', path, tenantry_private.view_name(target, path));
  perform tenantry_private.record_view(target, path, source);
  execute format('create view %s as %s', view, source);
  execute format('comment on view %s is %L', view, format(case path
    when 'tenant' then 'Own rows of %s, with secrets decrypted. Write through the table itself.'
    else 'Every row of %s that this session may reach: its own, those of what it owns, acts for and is a member of, and what was delegated to it.' end, target));
  execute format('grant select, insert, update, delete on %s to tenantry_user', view);
end
$$;

comment on function tenantry_private.make_view(regclass, name) is 'Makes, or makes anew, the view of a table on a path: for the functions of the views'' owners.';

create function tenantry_private.unmake_view(target regclass, path name)
returns void
language plpgsql volatile
as $$
declare
  view constant regclass := tenantry_private.view_on(target, path);
begin
  perform tenantry_private.record_view(target, path, null);
  if view is not null then
    execute format('drop view %s', view);
  end if;
end
$$;

comment on function tenantry_private.unmake_view(regclass, name) is 'Drops the view of a table on a path, and forgets it: for the functions of the views'' owners.';

create function tenantry_private.suspend_views(statement text, path name)
returns void
language plpgsql volatile
as $$
declare
  view regclass;
begin
  for view in select * from tenantry_private.views_in_the_way(statement, path) loop
    execute format('drop view %s', view);
  end loop;
end
$$;

comment on function tenantry_private.suspend_views(text, name) is 'Drops the views on a path of the tables that a statement names, so that their columns can be dropped or retyped; resume_views() makes them anew. For the functions of the views'' owners.';

create function tenantry_private.resume_views(path name, altered oid[])
returns void
language plpgsql volatile
as $$
declare
  target regclass;
begin
  for target in select * from tenantry_private.views_to_make(altered, path) loop
    perform tenantry_private.make_view(target, path);
  end loop;
end
$$;

comment on function tenantry_private.resume_views(name, oid[]) is 'Makes anew the views on a path that were dropped before a statement, and those of altered tables that are not as declared. For the functions of the views'' owners.';
