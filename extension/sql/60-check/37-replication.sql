-- Logical replication goes past row-level security on its way out, and stops at it on its way in.
create function tenantry_private.publications_of_protected()
returns table (publication name, whole text, schema_name name, relation regclass)
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  -- whole: what it was published with, from which a single table cannot be taken
  select distinct p.pubname,
         case when p.puballtables then 'all'
              when exists (select from pg_catalog.pg_publication_namespace s where s.pnpubid = p.oid and s.pnnspid = n.oid) then 'schema' end,
         n.nspname,
         case when exists (select from pg_catalog.pg_publication_rel r where r.prpubid = p.oid and r.prrelid = c.oid) then c.oid else root.oid end::regclass
    from pg_catalog.pg_publication p
   cross join lateral pg_get_publication_tables(p.pubname) g
    join pg_catalog.pg_class c on c.oid = g.relid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   cross join lateral (select coalesce(pg_partition_root(c.oid)::oid, c.oid) as oid) root
    join tenantry.tables t on t.relation in (c.oid, root.oid) and t.class in ('owned', 'by_parent');
end;

comment on function tenantry_private.publications_of_protected() is 'Publications of this database with protected tables in them.';

-- The columns of pg_subscription that everybody may read; run_as_owner came with 16.
create function tenantry_private.subscriptions_to_protected()
returns table (subscription name, relation regclass, applies_as name, bound boolean, owner name, owner_bound boolean, run_as_owner boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query execute format($query$
    select s.subname, r.srrelid::regclass, a.rolname, not (a.rolsuper or a.rolbypassrls), o.rolname, not (o.rolsuper or o.rolbypassrls), %1$s
      from pg_catalog.pg_subscription s
      join pg_catalog.pg_subscription_rel r on r.srsubid = s.oid
      join pg_catalog.pg_class c on c.oid = r.srrelid
      join pg_catalog.pg_roles o on o.oid = s.subowner
      join pg_catalog.pg_roles a on a.oid = case when %1$s then s.subowner else c.relowner end
     where s.subdbid = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
       and exists (
           select from tenantry.tables t
            where t.relation in (c.oid, coalesce(pg_partition_root(c.oid)::oid, c.oid)) and t.class in ('owned', 'by_parent'))
     order by 1, r.srrelid::regclass::text$query$,
    case when current_setting('server_version_num')::integer < 160000 then 'true' else 's.subrunasowner' end);
end
$$;

comment on function tenantry_private.subscriptions_to_protected() is 'Subscriptions that write into protected tables, and as whom.';

create function tenantry_private.replication_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select p.publication, p.whole, case when p.whole = 'schema' then p.schema_name end as schema_name,
           string_agg(p.relation::text, ', ' order by p.relation::text) as relations
      from tenantry_private.publications_of_protected() p
     group by 1, 2, 3
     order by 1, 2, 3
  loop
    severity := 'warning'; code := 'published'; object := quote_ident(item.publication);
    problem := format('it sends the rows of every owner of %s to whoever subscribes: row-level security does not hold for publications', item.relations);
    fix := case item.whole
             when 'all' then format('drop publication %I;', item.publication)
             when 'schema' then format('alter publication %I drop tables in schema %I;', item.publication, item.schema_name)
             else format('alter publication %I drop table %s;', item.publication, item.relations) end;
    return next;
  end loop;

  for item in
    select s.subscription, s.applies_as, s.bound, s.owner, s.owner_bound, s.run_as_owner, string_agg(s.relation::text, ', ') as relations
      from tenantry_private.subscriptions_to_protected() s
     group by 1, 2, 3, 4, 5, 6
     order by 1, 2
  loop
    object := quote_ident(item.subscription);
    if item.bound then
      severity := 'warning'; code := 'subscription_bound';
      problem := format('it writes into %s as %I, whom row-level security binds, and so stops at the first row', item.relations, item.applies_as);
      fix := concat_ws(' ', case when item.owner_bound then format('alter subscription %I owner to <a superuser>;', item.subscription) end,
                            case when not item.run_as_owner then format('alter subscription %I set (run_as_owner = true);', item.subscription) end);
    else
      severity := 'info'; code := 'subscribed';
      problem := format('it writes rows of every owner into %s as %I, whom row-level security does not bind: whose they are is what the other server says', item.relations, item.applies_as);
      fix := format('alter subscription %1$I disable; alter subscription %1$I set (slot_name = none); drop subscription %1$I;', item.subscription);
    end if;
    return next;
  end loop;
end
$$;

comment on function tenantry_private.replication_findings() is 'Findings published, subscribed, subscription_bound.';
