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
      join pg_catalog.pg_trigger g on g.tgrelid = t.relation and not g.tgisinternal and g.tgname not like 'tenantry\_%'
      join pg_catalog.pg_proc p on p.oid = g.tgfoid
      join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      join pg_catalog.pg_roles o on o.oid = p.proowner
      join pg_catalog.pg_class other on other.relkind in ('r', 'p') and not other.relispartition
                                    and other.relnamespace in (select tenantry_private.schemas_in_scope())
      left join tenantry.tables declared on declared.relation = other.oid
     where t.class in ('owned', 'by_parent')
       and other.oid <> t.relation
       and p.prosrc ~* ('(into|update|from|join)\s+(only\s+)?("?\w+"?\.)?"?' || regexp_replace(other.relname, '([^\w])', '\\\1', 'g') || '"?\M')
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
    select k.*, wanted.name as trigger_name
      from tenantry.kinds k
      join pg_catalog.pg_class c on c.oid = k.relation
     cross join (values ('tenantry_kind', 29), ('tenantry_kind_truncate', 32)) as wanted (name, type)
     where not exists (
           select
             from pg_catalog.pg_trigger t
             join pg_catalog.pg_proc p on p.oid = t.tgfoid
             join pg_catalog.pg_namespace n on n.oid = p.pronamespace
            where t.tgrelid = k.relation and t.tgname = wanted.name and t.tgtype = wanted.type and t.tgenabled = 'A'
              and t.tgqual is null and n.nspname = 'tenantry_private' and p.proname = 'follow_kind')
     order by k.kind, wanted.name
  loop
    severity := 'critical'; code := 'kind_unfollowed'; object := item.relation;
    problem := format('trigger %I is missing, off or changed: entities of kind %s that are deleted or change hands keep what they could do', item.trigger_name, item.kind);
    fix := format('select tenantry.register_kind(%L, %L, id_column => %L, owner_column => %L, owner_kind => %L, acts_for_owner => %L);',
             item.kind, item.relation, item.id_column, item.owner_column, item.owner_kind, item.acts_for_owner);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.kind_findings() is 'Finding kind_unfollowed.';
