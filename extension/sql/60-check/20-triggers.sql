-- The application's own triggers now run as a login that row-level security binds. Which tables a function touches is read
-- from its text: names are looked for as whole words, so a finding may be one too many, never a silent one too few for
-- names that are written out.
create function tenantry_private.trigger_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select t.relation, g.tgname, p.oid::regprocedure as routine, p.prosecdef, other.oid::regclass as touched,
           declared.class, n.nspname
      from tenantry.tables t
      join pg_catalog.pg_trigger g on g.tgrelid = t.relation and not g.tgisinternal
      join pg_catalog.pg_proc p on p.oid = g.tgfoid and p.pronamespace <> 'tenantry_private'::regnamespace
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      join pg_catalog.pg_roles o on o.oid = p.proowner
      join pg_catalog.pg_class other on other.relkind in ('r', 'p') and not other.relispartition
                                    and other.relnamespace in (select tenantry_private.schemas_in_scope())
      left join tenantry.tables declared on declared.relation = other.oid
     where t.class in ('owned', 'by_parent')
       and other.oid <> t.relation
       -- a plain name as a word of its own, any other as it must be quoted
       and case when other.relname ~ '^[a-z0-9_]+$'
             then p.prosrc ~* ('(into|update|from|join)\s+(only\s+)?(("([^"]|"")+"|\w+)\s*\.\s*)?"?' || other.relname || '"?\M')
             else strpos(p.prosrc, quote_ident(other.relname)) > 0
           end
       and (not p.prosecdef and not tenantry_private.readable_by_application(other.oid)
            or p.prosecdef and declared.class in ('owned', 'by_parent') and not o.rolsuper and not o.rolbypassrls)
     order by t.relation::text, g.tgname, other.oid::regclass::text
  loop
    severity := 'warning';
    object   := item.relation;
    if item.prosecdef then
      code    := 'trigger_bound';
      problem := format('trigger %I runs %s as its owner, whom row-level security shows no row of %s', item.tgname, item.routine, item.touched);
      fix     := format('alter function %s security invoker;', item.routine);
    else
      code    := 'trigger_denied';
      problem := format('trigger %I runs %s as the application, which has no privilege on %s', item.tgname, item.routine, item.touched);
      fix     := case when item.class = 'exempt'
                   then format('alter function %s security definer set search_path = pg_catalog, %I, pg_temp;', item.routine, item.nspname)
                   else format('select * from tenantry.protect(%L);', item.touched) end;
    end if;
    return next;
  end loop;
end
$$;

comment on function tenantry_private.trigger_findings() is 'Findings trigger_denied, trigger_bound.';

-- A kind's table whose triggers are gone no longer says who is new, gone or somebody else's.
create function tenantry_private.kind_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select u.kind, u.relation, string_agg(quote_ident(u.trigger_name), ', ' order by u.trigger_name) as triggers
      from tenantry_private.unfollowed_kinds() u
     group by 1, 2
     order by 1
  loop
    severity := 'critical'; code := 'kind_unfollowed'; object := item.relation;
    problem := format('%s missing, off or changed: entities of kind %s that are deleted or change hands keep what they could do', item.triggers, item.kind);
    fix := 'select * from tenantry.sync();';
    return next;
  end loop;

  for item in
    select distinct s.relation from tenantry.membership_sources s
      join pg_catalog.pg_class c on c.oid = s.relation
     where not tenantry_private.is_followed(s.relation)
     order by 1
  loop
    severity := 'critical'; code := 'membership_unfollowed'; object := item.relation;
    problem := 'the triggers on a table of memberships are missing, off or changed: whoever leaves stays, and whoever writes a row joins unasked once it is read';
    fix := 'select * from tenantry.sync();';
    return next;
  end loop;

  for item in
    select f.relation, f.code, child.relation as child, i.inhparent::regclass as parent
      from (select k.relation, 'kind_unfollowed' as code from tenantry.kinds k
            union
            select s.relation, 'membership_unfollowed' from tenantry.membership_sources s) f
     cross join lateral tenantry_private.relation_tree(f.relation) child
      join pg_catalog.pg_class c on c.oid = child.relation and not c.relispartition
      join pg_catalog.pg_inherits i on i.inhrelid = child.relation
     where child.depth > 0
     order by 3, 2
  loop
    severity := 'critical'; code := item.code; object := item.child;
    problem := format('it inherits from %s, and what becomes of its rows is not followed', item.parent);
    fix := format('alter table %s no inherit %s;', item.child, item.parent);
    return next;
  end loop;

  for item in
    select r.relation, r.old_name, r.new_name from tenantry_private.renames() r
    union all
    select s.relation, s.old_name, s.new_name from tenantry_private.renamed_secrets() s
     order by 1, 2, 3
  loop
    severity := 'critical'; code := 'column_renamed'; object := item.relation;
    problem := format('%I, by which it was declared, is called %I now', item.old_name, item.new_name);
    fix := 'select * from tenantry.sync();';
    return next;
  end loop;
end
$$;

comment on function tenantry_private.kind_findings() is 'Findings kind_unfollowed, membership_unfollowed, column_renamed.';
