-- Each group of findings is a function of its own; check() puts them together. A finding's fix is the exact statement
-- that removes it.

create function tenantry_private.schemas_in_scope()
returns setof oid
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select n.oid from tenantry.schemas s join pg_catalog.pg_namespace n on n.nspname = s.schema_name
  union
  select c.relnamespace from tenantry.tables t join pg_catalog.pg_class c on c.oid = t.relation;
end;

comment on function tenantry_private.schemas_in_scope() is 'Schemas that are managed or hold a declared table.';

create function tenantry_private.readable_by_application(target regclass)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return has_table_privilege('tenantry_user', target, 'select, insert, update, delete, truncate')
      or exists (
         select
           from tenantry_private.allowed_logins() a
          where a.granted_as = 'user'
            and not (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = a.role_name)
            and has_table_privilege(a.role_name, target, 'select, insert, update, delete, truncate'));
end
$$;

comment on function tenantry_private.readable_by_application(regclass) is 'Whether an application login has any grant on a relation.';

create function tenantry_private.column_names(relation regclass, numbers smallint[])
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select array_agg(a.attname order by position)::text
    from unnest(numbers) with ordinality as n (attnum, position)
    join pg_catalog.pg_attribute a on a.attrelid = relation and a.attnum = n.attnum);

comment on function tenantry_private.column_names(regclass, smallint[]) is 'Names of columns as the text of an array.';

create function tenantry_private.undeclared_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  relation record;
begin
  for relation in
    select c.oid::regclass as name, c.relkind, tenantry_private.readable_by_application(c.oid) as open,
           -- An owner: a kind whose table belongs to that very kind. A parent: any other protected table.
           (select count(*)
              from pg_catalog.pg_constraint f
              join tenantry.kinds k on k.relation = f.confrelid
              left join tenantry.tables t on t.relation = f.confrelid
             where f.conrelid = c.oid and f.contype = 'f' and f.conparentid = 0 and cardinality(f.conkey) = 1
               and coalesce(t.owner_kind = k.kind, true)) as owners,
           (select array_agg(tenantry_private.column_names(f.conrelid, f.conkey))
              from pg_catalog.pg_constraint f
              join tenantry.tables t on t.relation = f.confrelid and t.class in ('owned', 'by_parent')
             where f.conrelid = c.oid and f.contype = 'f' and f.conparentid = 0 and f.confrelid <> c.oid
               and not exists (select from tenantry.kinds k where k.relation = t.relation and k.kind = t.owner_kind)) as parents
      from pg_catalog.pg_class c
     where c.relnamespace in (select tenantry_private.schemas_in_scope())
       and c.relkind in ('r', 'p', 'f', 'm')
       and not c.relispartition
       and not exists (select from tenantry.tables t where t.relation = c.oid)
       -- on its way: see rollout_open
       and not exists (select from tenantry.rollout_status r where r.relation = c.oid)
       -- what inherits from a declared table is covered by it
       and not exists (
           with recursive above (oid) as (
             select i.inhparent from pg_catalog.pg_inherits i where i.inhrelid = c.oid
             union
             select i.inhparent from above join pg_catalog.pg_inherits i on i.inhrelid = above.oid)
           select from above join tenantry.tables t on t.relation = above.oid)
       and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
     order by c.oid::regclass::text
  loop
    object := relation.name;
    if relation.relkind in ('r', 'p') then
      code     := 'table_undeclared';
      severity := case when relation.open then 'critical' else 'warning' end;
      problem  := case when relation.open then 'the application reads or writes it and nothing isolates its rows'
                       else 'nobody has said whose rows it holds; the application cannot reach it' end;
      fix      := case when relation.owners = 1 then format('select * from tenantry.protect(%L);', relation.name)
                       when relation.owners = 0 and cardinality(relation.parents) = 1
                         then format('select * from tenantry.protect(%L, owner_from => %L);', relation.name, relation.parents[1])
                       else format('select tenantry.exempt(%L, ''<why it needs no isolation>'');', relation.name) end;
    else
      if not relation.open then
        continue;
      end if;
      code     := 'relation_unprotectable';
      severity := 'critical';
      problem  := format('the application reads this %s, which cannot carry row-level security',
                    case relation.relkind when 'm' then 'materialized view' else 'foreign table' end);
      fix      := format('revoke all on %s from public, tenantry_user%s;', relation.name, tenantry_private.user_logins());
    end if;
    return next;
  end loop;
  return query
  select 'warning', 'schema_missing', quote_ident(s.schema_name),
         'it is managed and is not there: it was dropped, or renamed unseen, and then new tables in it are not watched until manage_schema() is told its new name',
         format('select * from tenantry.unmanage_schema(%L);', s.schema_name)
    from tenantry.schemas s
   where not exists (select from pg_catalog.pg_namespace n where n.nspname = s.schema_name);
end
$$;

comment on function tenantry_private.undeclared_findings() is 'Findings table_undeclared, relation_unprotectable, schema_missing.';

create function tenantry_private.user_logins()
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return coalesce((select string_agg(', ' || quote_ident(a.role_name), '' order by a.role_name) from tenantry_private.allowed_logins() a where a.granted_as = 'user'), '');

comment on function tenantry_private.user_logins() is 'The application''s logins as the tail of a list.';

-- What sync() would do is what is not as declared.
create function tenantry_private.drift_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declared record;
  declaration tenantry_private.tables;
  statements text[];
begin
  for declared in
    select t.relation, t.class
      from tenantry.tables t
     where t.class <> 'exempt'
       -- column_renamed and declaration_stale come first
       and not exists (
           select
             from tenantry_private.renames() r
            where r.relation = t.relation
               or exists (select from pg_catalog.pg_constraint c where c.conrelid = t.relation and c.confrelid = r.relation and c.contype = 'f'))
       and (t.parent is null or exists (select from pg_catalog.pg_class c where c.oid = t.parent))
     order by t.relation::text
  loop
    declaration := tenantry_private.declared(declared.relation);
    object := declared.relation;
    if declared.class = 'owned' and tenantry_private.column_type(declared.relation, declaration.owner_column) is null then
      severity := 'critical'; code := 'owner_missing';
      problem := format('its owner column %I is gone', declaration.owner_column);
      fix := format('select * from tenantry.unprotect(%L);', declared.relation);
      return next;
      continue;
    end if;
    fix := 'select * from tenantry.sync();';
    statements := array(
        select p.statement from tenantry_private.plan_share(declaration) p where declared.class = 'shared'
        union all
        -- without the steps that only surround the filling of owners
        select p.statement
          from tenantry_private.plan_table(declaration) p
         where declared.class <> 'shared'
           and not starts_with(p.statement, 'update ') and not starts_with(p.statement, 'set local role ')
           and not starts_with(p.statement, 'alter table only ') and not starts_with(p.statement, 'set local role ')
           and not exists (
               select
                 from pg_catalog.pg_class c
                where c.oid in (declared.relation, declaration.parent) and c.relforcerowsecurity
                  and p.statement in (format('alter table %s no force row level security', c.oid::regclass),
                                      format('alter table %s force row level security', c.oid::regclass)))
        union all
        select p.statement from tenantry_private.plan_triggers(declaration) p where declared.class <> 'shared');
    if statements = '{}' then
      continue;
    end if;
    -- One finding for all that is wrong in the same way.
    for severity, code, problem in
      with planned as (
        select p.statement, p.place from unnest(statements) with ordinality as p (statement, place)),
      anew as (
        -- The second half of a policy that is made anew says nothing new.
        select p.statement, p.place,
               starts_with(p.statement, 'create policy ') and starts_with(lag(p.statement) over (order by p.place), 'drop policy ') as second
          from planned p)
      select f.severity, f.code, format('%s (%s%s)', (array_agg(f.problem order by a.place))[1],
               array_to_string((array_agg(a.statement order by a.place))[1:3], '; '), case when count(*) > 3 then format('; and %s more', count(*) - 3) end)
        from anew a
       cross join lateral (
         select f.*
           from (values
             ( 1, '% enable row level security',       'critical', 'row_security_off',        'row-level security is off'),
             ( 2, 'comment on index %',                'warning',  'owner_unindexed',         'the index for rows that everybody sees is missing or not known'),
             ( 3, '% force row level security',        'critical', 'row_security_not_forced', 'row-level security does not bind the table''s owner'),
             ( 4, 'create policy%',                    'critical', 'policy_missing',          'a policy is missing or is not as it was made'),
             ( 5, 'drop policy%',                      'critical', 'policy_changed',          'a policy is not as it was made'),
             ( 6, 'revoke%',                           'critical', 'grant_excess',            'there are privileges that row-level security does not bind, or that everybody has'),
             ( 7, 'grant%',                            'warning',  'grant_missing',           'the application lacks a privilege it was meant to have'),
             ( 8, '% set not null',                    'critical', 'owner_nullable',          'rows may be written that nobody owns'),
             ( 9, '% set default %',                   'warning',  'owner_default',           'the owner column does not default to the principal'),
             (10, 'create index%',                     'warning',  'owner_unindexed',         'no index leads with the owner column'),
             (11, 'create unique index%',              'critical', 'parent_untied',           'the owner is not tied to the parent''s'),
             (12, '% add column %',                    'critical', 'owner_missing',           'the owner column is missing'),
             (13, '% add foreign key %',               'critical', 'parent_untied',           'the foreign key to the parent is missing'),
             (13, '% add constraint %',                'critical', 'parent_untied',           'the owner is not tied to the parent''s'),
             (15, '%tenantry_references_%',            'critical', 'reference_unchecked',     'foreign keys may point at rows of others'),
             (16, '%define_reference_check%',          'critical', 'reference_unchecked',     'foreign keys may point at rows of others'),
             (17, '%_owner_fill%',                     'warning',  'owner_unfilled',          'new rows do not take their owner from the parent'),
             (14, '%define_seal%',                     'critical', 'secret_unsealed',         'the trigger that seals secrets is not as it was made'),
             (14, '%note_triggers%',                   'critical', 'secret_unsealed',         'the trigger that seals secrets is missing, off or changed'),
             (14, '%~tenantry_seal%',                  'critical', 'secret_unsealed',         'the trigger that seals secrets is missing, off or changed'),
             (17, '%define_facade%',                   'warning',  'facade_stale',            'the decrypting view is missing or not as declared'),
             (17, '%define_reach_view%',               'warning',  'reach_stale',             'the view on the reach path is missing or not as declared'),
             (17, '%tenantry_owner_kept%',             'critical', 'owner_unguarded',         'members may take over rows that they may only rewrite'),
             (17, '%tenantry_actor%',                  'warning',  'actor_unrecorded',        'who inserts a row is not recorded'),
             (18, '%',                                 'warning',  'not_as_declared',         'it is not as declared')
           ) as f (position, pattern, severity, code, problem)
          where a.statement like f.pattern
          order by f.position
          limit 1) f
       where a.second is not true
       group by f.severity, f.code
       order by min(a.place)
    loop
      return next;
    end loop;
  end loop;
end
$$;

comment on function tenantry_private.drift_findings() is
  'Findings owner_missing, row_security_off, row_security_not_forced, policy_missing, policy_changed, grant_excess, grant_missing, owner_nullable, owner_default, owner_unindexed, owner_unfilled, parent_untied, reference_unchecked, secret_unsealed, facade_stale, reach_stale, owner_unguarded, actor_unrecorded, not_as_declared.';

create function tenantry_private.view_references()
returns table (view oid, refobjid oid)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  select distinct w.ev_class, d.refobjid
    from pg_catalog.pg_depend d
    join pg_catalog.pg_rewrite w on w.oid = d.objid
   where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid <> w.ev_class;
end;

comment on function tenantry_private.view_references() is 'Views, materialized ones included, and what they read.';

create function tenantry_private.view_security(relation oid)
returns table (oid oid, invoker boolean)
language sql stable rows 1
set search_path = pg_catalog, pg_temp
begin atomic
  select c.oid,
         c.relkind = 'v' and coalesce((
           select o.option_value::boolean from pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false)
    from pg_catalog.pg_class c
   where c.oid = relation and c.relkind in ('v', 'm');
end;

comment on function tenantry_private.view_security(oid) is 'Whether a view reads as whoever uses it; nothing for other relations.';

-- Whom row-level security does not bind, or whom a policy shows every row of some table: the migration role, a standing reader.
create function tenantry_private.sees_all(the_role oid, how text)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return (select r.rolsuper or r.rolbypassrls from pg_catalog.pg_roles r where r.oid = the_role)
    or exists (
       select from tenantry.schemas s where s.migration_role is not null and pg_has_role(the_role, to_regrole(quote_ident(s.migration_role)), how))
    or exists (
       select from tenantry.granted_across g where pg_has_role(the_role, to_regrole(quote_ident(g.role_name)), how));

comment on function tenantry_private.sees_all(oid, text) is 'Whether a role sees every row of a protected table, by itself or as another that it has the privileges of (usage) or may become (member).';

create function tenantry_private.table_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select t.relation, r.rolname, r.rolsuper
      from tenantry.tables t
      join pg_catalog.pg_class c on c.oid = t.relation
      join pg_catalog.pg_roles r on r.oid = c.relowner
     where t.class in ('owned', 'by_parent') and (r.rolsuper or r.rolbypassrls)
     order by 1
  loop
    severity := 'critical'; code := 'owner_unbound'; object := item.relation;
    problem := format('it belongs to %I, which row-level security does not bind', item.rolname);
    fix := format('alter table %s owner to <an ordinary role>;', item.relation);
    return next;
  end loop;

  -- A view runs as its owner unless it says otherwise, and so do the invoker's views that it reads: in each chain of views
  -- the one nearest to the table that is not its invoker's decides who looks. What it sees, the last view shows.
  for item in
    with recursive reading (relation, view, decides) as (
      select d.refobjid, v.oid, case when v.invoker then null else v.oid end
        from tenantry_private.view_references() d
        join tenantry.tables t on t.relation = d.refobjid and t.class in ('owned', 'by_parent')
       cross join lateral tenantry_private.view_security(d.view) v
      union
      select r.view, v.oid, coalesce(r.decides, case when v.invoker then null else v.oid end)
        from reading r
        join tenantry_private.view_references() d on d.refobjid = r.view
       cross join lateral tenantry_private.view_security(d.view) v)
    select decides.oid::regclass as name, decides.relkind, bool_or(shown.oid <> decides.oid) as indirect,
           string_agg(distinct shown.oid::regclass::text, ', ') as shown_by,
           tenantry_private.sees_all(decides.relowner, 'usage') as unbound
      from (select distinct r.decides, r.view from reading r where r.decides is not null offset 0) reading
      join pg_catalog.pg_class decides on decides.oid = reading.decides
      join pg_catalog.pg_class shown on shown.oid = reading.view
           -- tenantry's own, whose owner has policies of its own
     where not (decides.relnamespace = to_regnamespace('tenant') and decides.relowner = to_regrole('tenantry_facade'))
       and not (decides.relnamespace = to_regnamespace('reach') and decides.relowner = to_regrole('tenantry_reach'))
       and not exists (select from tenantry.tables e where e.relation = shown.oid and e.class = 'exempt')
       -- a materialized view of the schemas in scope is a finding of its own
       and not (shown.relkind = 'm' and shown.relnamespace in (select tenantry_private.schemas_in_scope()))
       and tenantry_private.readable_by_application(reading.view)
     group by decides.oid, decides.relkind, decides.relowner
     order by 1
  loop
    severity := case when item.unbound then 'critical' else 'warning' end;
    code := 'view_runs_as_owner'; object := item.name;
    problem := case when item.unbound then 'it shows every row of the protected tables it reads, to everybody'
                    else 'it runs as its owner, who sees no row of the protected tables it reads' end
               || case when item.indirect then format(' (through %s)', item.shown_by) else '' end;
    fix := case item.relkind when 'm' then format('revoke all on %s from public, tenantry_user%s;', item.shown_by, tenantry_private.user_logins())
                             else format('alter view %s set (security_invoker = true);', item.name) end;
    return next;
  end loop;

  for item in
    select t.relation, p.polname as policy,
           array(select coalesce(r.rolname, 'public')
                   from unnest(p.polroles) as role_oid
                   left join pg_catalog.pg_roles r on r.oid = role_oid
                  order by 1) as to_roles
      from tenantry.tables t
      join pg_catalog.pg_policy p on p.polrelid = t.relation
     where t.class in ('owned', 'by_parent') and p.polpermissive and p.polname not like 'tenantry\_%'
     order by 1, 2
  loop
    severity := 'info'; code := 'policy_foreign'; object := item.relation;
    problem := format('policy %I, TO %s, is the application''s own: it cannot widen what tenantry_user sees, but still holds for other roles', item.policy, array_to_string(item.to_roles, ', '));
    fix := format('drop policy %I on %s;', item.policy, item.relation);
    return next;
  end loop;

  -- Nobody has a way into a part of a table, and a policy there serves nothing else.
  for item in
    select t.relation, tree.relation as part, p.polname as policy
      from tenantry.tables t
     cross join lateral tenantry_private.relation_tree(t.relation) tree
      join pg_catalog.pg_policy p on p.polrelid = tree.relation
     where t.class in ('owned', 'by_parent') and p.polpermissive and tree.relation <> t.relation
       and not exists (select from tenantry.tables own where own.relation = tree.relation)
     order by tree.relation::text, 3
  loop
    severity := 'warning'; code := 'policy_foreign'; object := item.part;
    problem := format('policy %I opens it under its own name, where those of %s, whose part it is, do not hold', item.policy, item.relation);
    fix := format('drop policy %I on %s;', item.policy, item.part);
    return next;
  end loop;

  -- What a rule does beside a statement, or instead of it, is done as the owner of the table that has the rule.
  for item in
    select w.rulename, c.oid::regclass as relation, string_agg(distinct t.relation::text, ', ') as touched,
           tenantry_private.sees_all(r.oid, 'usage') as unbound, r.rolname
      from pg_catalog.pg_rewrite w
      join pg_catalog.pg_class c on c.oid = w.ev_class
      join pg_catalog.pg_roles r on r.oid = c.relowner
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_catalog.pg_class'::regclass
      join tenantry.tables t on t.relation in (d.refobjid, coalesce(pg_partition_root(d.refobjid)::oid, d.refobjid)) and t.class in ('owned', 'by_parent')
     where w.ev_type <> '1'
       and not exists (select from tenantry_private.view_security(c.oid) v where v.invoker)
     group by w.rulename, c.oid, r.oid, r.rolname
     order by c.oid::regclass::text, w.rulename
  loop
    severity := case when item.unbound then 'critical' else 'warning' end; code := 'rule_runs_as_owner'; object := item.relation;
    problem := format('rule %I works on %s as %I, whoever writes%s', item.rulename, item.touched, item.rolname, case when item.unbound then ', and so on every row' else '' end);
    fix := format('drop rule %I on %s;', item.rulename, item.relation);
    return next;
  end loop;

  for item in select t.relation, t.unchecked_references from tenantry.tables t where t.unchecked_references <> '{}' order by 1 loop
    severity := 'info'; code := 'reference_exempt'; object := item.relation;
    problem := format('references %s may point at rows of others, as declared', array_to_string(item.unchecked_references, ', '));
    fix := format('select * from tenantry.protect(%L, unchecked_references => ''{}'');', item.relation);
    return next;
  end loop;

  -- Whoever writes the one never sees the other, so that no row could be referred to at all.
  for item in
    select t.relation, t.unchecked_references, k.conname, parent.relation as parent, parent.owner_kind as parent_kind, t.owner_kind,
           (select array_agg(a.attname order by a.attnum)
              from pg_catalog.pg_attribute a
             where a.attrelid = k.conrelid and a.attnum = any (k.conkey)) as columns
      from (select t.relation, t.unchecked_references, t.owner_kind
              from tenantry.tables t
             where exists (
                   select
                     from pg_catalog.pg_constraint f
                     join tenantry.tables parent on parent.relation = f.confrelid and parent.owner_kind <> t.owner_kind
                    where f.conrelid = t.relation and f.contype = 'f' and f.conparentid = 0)
            offset 0) t
     cross join lateral tenantry_private.checked_references(tenantry_private.declared(t.relation), null) k
      join tenantry.tables parent on parent.relation = k.confrelid
     where parent.owner_kind <> t.owner_kind
     order by 1, 3
  loop
    severity := 'warning'; code := 'reference_across_kinds'; object := item.relation;
    problem := format('its rows belong to kind %s, those of %s to kind %s, so nobody sees both and %I can never be satisfied',
                 item.owner_kind, item.parent, item.parent_kind, item.conname);
    fix := format('select * from tenantry.protect(%L, unchecked_references => %L);', item.relation,
             (select array_agg(distinct c order by c) from unnest(item.unchecked_references || item.columns) as c));
    return next;
  end loop;

  -- Whoever owns the row writes the column that says whose the entity is.
  for item in
    select k.kind, k.relation, k.id_column, k.owner_column as kind_owner, k.acts_for_owner, t.owner_column, t.owner_kind
      from tenantry.kinds k
      join tenantry.tables t on t.relation = k.relation
     where t.class in ('owned', 'by_parent') and k.owner_column <> t.owner_column and k.acts_for_owner
     order by 1
  loop
    severity := 'warning'; code := 'kind_owner_differs'; object := item.relation;
    problem := format('its rows belong to whoever %I names, who may write anybody into %I and so make a %s that acts for them',
                 item.owner_column, item.kind_owner, item.kind);
    fix := format('select tenantry.register_kind(%L, %L, id_column => %L, owner_column => %L, owner_kind => %L, acts_for_owner => true);',
             item.kind, item.relation, item.id_column, item.owner_column, item.owner_kind);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.table_findings() is 'Findings owner_unbound, view_runs_as_owner, policy_foreign, rule_runs_as_owner, reference_exempt, reference_across_kinds, kind_owner_differs.';
