-- What UPDATE and DROP COLUMN leave behind. A value is looked for as it would lie there, not compressed: by its beginning,
-- because TOAST cuts into pieces of about 2 kB.
create function tenantry.residue(target regclass, column_name name, path text[] default '{}', sample integer default 200)
returns table (place text, finding text, hits bigint, what_to_do text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#print_strict_params off
#variable_conflict use_variable
declare
  secret      constant tenantry_private.encrypted_columns := tenantry_private.encrypted_column(target, column_name, path);
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  superuser   constant boolean := (select r.rolsuper from pg_catalog.pg_roles r where r.rolname = current_user);
  rewrite     constant text := format('call tenantry.encrypt_existing(%L, %L, %L, ''sealed'', key_share => …); or: vacuum full %s; analyze %3$s;', target, column_name, path, target);
  owners      text[];
  pks         bytea[];
  values_     bytea[];
  plains      bytea[] := '{}';
  plain       bytea;
  relation    record;
  part        record;
  chunk       bytea;
  texts       text;
  size        bigint;
begin
  if sample is null or sample not between 1 and 10000 then
    perform tenantry_private.refuse('between 1 and 10000 values are looked for', 'The default is 200.');
  end if;
  if not superuser then
    raise exception 'only a superuser may read the files of tables' using errcode = '42501', hint = 'Run it as a superuser, after: select tenantry.bring_key_share(<the application''s share>); in the same transaction.';
  end if;
  execute format('select array_agg(s.owner), array_agg(s.pk), array_agg(s.bytes) from (select %s as owner, %s as pk, %s as bytes from %s t where %s is not null limit %s) s',
    tenantry_private.owner_expression(declaration, 't'), tenantry_private.key_expression(target, 't'),
    case when secret.path <> '{}' then format('tenantry_private.shaped(t.%I #>> %L)', column_name, secret.path)
         when secret.data_type in ('json', 'jsonb') then format('tenantry_private.shaped(t.%I #>> ''{}'')', column_name)
         else format('tenantry_private.shaped(t.%I)', column_name) end,
    target, tenantry_private.value_expression(secret, 't'), sample)
    into owners, pks, values_;
  for position in 1 .. coalesce(cardinality(values_), 0) loop
    if values_[position] is not null then
      plain := tenantry_private.opened_anywhere(values_[position], secret.column_id, owners[position], pks[position]);
      -- Shorter ones are found anywhere by chance.
      if octet_length(plain) >= 6 then
        plains := plains || substr(plain, 1, 1000);
      end if;
    end if;
  end loop;
  place := 'sample'; finding := 'values that were opened and looked for, of at least 6 bytes'; hits := cardinality(plains);
  what_to_do := case when hits = 0 then 'nothing could be looked for: there are no sealed values of that length' end;
  return next;

  if secret.plain_column is not null then
    place := format('column %I', secret.plain_column); finding := 'holds copies of plaintexts until the last step';
    execute format('select count(%I) from %s', secret.plain_column, target) into hits;
    what_to_do := format('call tenantry.encrypt_existing(%L, %L, %L, ''sealed'', key_share => …);', target, column_name, secret.path);
    return next;
  end if;

  texts := (
    select string_agg(concat_ws(' ', s.most_common_vals::text, s.histogram_bounds::text), ' ')
      from pg_catalog.pg_stats s
      join pg_catalog.pg_class c on c.relname = s.tablename
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = s.schemaname
     where c.oid in (select tree.relation from tenantry_private.relation_tree(target) tree));
  place := 'statistics'; finding := 'sampled plaintexts in pg_stats of the table and its partitions'; hits := 0;
  foreach plain in array plains loop
    hits := hits + (position(plain in convert_to(coalesce(texts, ''), 'UTF8')) > 0)::integer;
  end loop;
  what_to_do := case when hits > 0 then format('analyze %s;', target) end;
  return next;

  for relation in
    select r.name, r.oid, r.what
      from (select tree.relation::text as name, tree.relation::oid as oid, 'table' as what, 1 as sort from tenantry_private.relation_tree(target) tree
            union all
            select c.reltoastrelid::regclass::text, c.reltoastrelid, 'TOAST', 2
              from tenantry_private.relation_tree(target) tree join pg_catalog.pg_class c on c.oid = tree.relation where c.reltoastrelid <> 0
            union all
            select i.indexrelid::regclass::text, i.indexrelid, 'index', 3
              from tenantry_private.relation_tree(target) tree join pg_catalog.pg_index i on i.indrelid = tree.relation) r
     order by r.sort, r.name
  loop
    place := relation.what || ' ' || relation.name; finding := 'sampled plaintexts in its pages, dead rows and dropped columns included'; hits := 0;
    size := pg_relation_size(relation.oid);
    -- A megabyte at a time, each overlapping the one before by a page.
    for part in select n * 1048576 as start from generate_series(0, greatest(size - 1, 0) / 1048576) n where size > 0 loop
      chunk := pg_read_binary_file(pg_relation_filepath(relation.oid)
                 || case when part.start >= 1073741824 then '.' || part.start / 1073741824 else '' end,
                 part.start % 1073741824, 1048576 + 8192, true);
      foreach plain in array plains loop
        hits := hits + (position(plain in chunk) > 0)::integer;
      end loop;
    end loop;
    what_to_do := case when hits > 0 then rewrite end;
    return next;
  end loop;

  place := 'compressed values'; hits := null; finding := 'values that PostgreSQL compressed (usually above 2 kB) cannot be found by looking';
  what_to_do := 'A rewrite of the table removes them all the same.';
  return next;
  place := 'WAL'; finding := format('what was written before %s holds plaintexts; the oldest file here is of %s, archiving is %s, %s replication slots keep files',
    to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
    coalesce(to_char((select min(w.modification) from pg_ls_waldir() w) at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'), 'unknown'),
    current_setting('archive_mode'), (select count(*) from pg_catalog.pg_replication_slots));
  what_to_do := 'checkpoint; and let archived WAL from before the rewrite expire.';
  return next;
  place := 'backups and standbys'; finding := 'base backups and dumps from before the rewrite hold plaintexts; standbys follow when they have replayed it';
  what_to_do := 'Let them expire, and note the date.';
  return next;
end
$$;

comment on function tenantry.residue(regclass, name, text[], integer) is
  'Looks for plaintexts of an encrypted column that its encryption left behind: opens a sample of values with the key share of this transaction and searches for them in statistics, table, TOAST and indexes; says what remains in WAL and backups. Shows no value. sample: how many, 1 to 10000, default 200. For superusers. Errors: 42501, TN005, TN006, TN011.';
