-- What is wrong with encrypted columns beside what sync() would do.
create function tenantry_private.secret_state()
returns table (relation regclass, column_name name, path text[], state text, rows_there boolean, tag_key boolean, master_key boolean)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return query
  select c.relation, c.column_name, c.path, c.state,
         (select coalesce(sum(pg_relation_size(r.relation)), 0) > 0 from tenantry_private.relation_tree(c.relation) r),
         exists (select from tenantry_private.tag_keys),
         exists (select from tenantry_private.master_keys m where m.state = 'active')
    from tenantry_private.encrypted_columns c
   order by c.relation::text, c.column_name, c.path;
end
$$;

comment on function tenantry_private.secret_state() is 'Encrypted columns, and which keys there are: for check().';

create function tenantry_private.open_jobs()
returns table (relation regclass, job text, done bigint, started_at timestamptz, column_name name, path text[])
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return query
  select j.relation, j.job, j.done, j.started_at, c.column_name, c.path
    from tenantry_private.engine_jobs j
    left join tenantry_private.encrypted_columns c on c.column_id::text = split_part(j.job, ' ', 2)
   order by j.relation::text, j.job;
end
$$;

comment on function tenantry_private.open_jobs() is 'Batch jobs that are open: for check().';

create function tenantry_private.secret_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in
    select distinct child.relation, i.inhparent::regclass as parent
      from tenantry_private.secret_state() s
     cross join lateral tenantry_private.relation_tree(s.relation) child
      join pg_catalog.pg_class c on c.oid = child.relation and not c.relispartition
      join pg_catalog.pg_inherits i on i.inhrelid = child.relation
     where child.depth > 0
     order by 1
  loop
    severity := 'critical'; code := 'secret_unsealed'; object := item.relation;
    problem := format('it inherits from %s, and no trigger seals what is written to its rows', item.parent);
    fix := format('alter table %s no inherit %s;', item.relation, item.parent);
    return next;
  end loop;

  for item in select * from tenantry_private.secret_state() loop
    object := item.relation;
    if not item.tag_key or not item.master_key then
      severity := 'critical'; code := 'secret_keys_missing';
      problem := format('%I is encrypted, and the keys are not here: a dump of the schema, or of some tables, does not hold them', item.column_name);
      fix := case when item.rows_there
        then 'pg_restore --data-only --schema=tenantry_private, from a full dump of the same database; where its values may be lost: select tenantry.create_master_key(<the application''s share>);'
        else 'select tenantry.create_master_key(<the application''s share>);' end;
      return next;
    end if;
    if item.state <> 'sealed' then
      severity := 'warning'; code := 'plaintext_copies';
      problem := format('%I is being encrypted (%s): plaintexts are in the table still', item.column_name, item.state);
      fix := format('call tenantry.encrypt_existing(%L, %L, %L, ''sealed'', key_share => <the application''s share>);', item.relation, item.column_name, item.path);
      return next;
    end if;
  end loop;

  for item in
    -- A dump of one schema lacks the functions of the triggers, and so brings none; the decrypting view's policies it has.
    select o.relation, bool_or(o.seals) as seals
      from (select t.tgrelid::regclass as relation, true as seals
              from pg_catalog.pg_trigger t
             where t.tgname like E'~tenantry\\_seal\\_%' and not t.tgisinternal and t.tgparentid = 0
               and not exists (select from tenantry.encrypted_columns e where e.relation = t.tgrelid)
            union all
            select p.polrelid::regclass, false
              from pg_catalog.pg_policy p
             where p.polname like E'tenantry\\_%' and to_regrole('tenantry_facade')::oid = any (p.polroles)
               and not exists (select from tenantry.tables t where t.relation in (p.polrelid, pg_partition_root(p.polrelid)))) o
     group by o.relation
     order by o.relation::text
  loop
    severity := 'critical'; code := 'secret_registry_missing'; object := item.relation;
    problem := 'it has secrets, and neither its declaration nor any key is here: a dump of the schema, or of some tables, does not hold them'
      || case when item.seals then '' else '; new ones are stored in clear' end;
    fix := 'pg_restore --data-only --schema=tenantry_private, from a full dump of the same database; then: select * from tenantry.sync();';
    return next;
  end loop;

  for item in
    select distinct e.relation, t.tgname
      from tenantry.encrypted_columns e
      join pg_catalog.pg_trigger t on t.tgrelid = e.relation
     where not t.tgisinternal and t.tgenabled <> 'D' and t.tgtype & 67 = 3 and t.tgtype & 20 <> 0
       and t.tgname > '~tenantry_seal' and t.tgname not like '~tenantry\_seal\_%'
     order by 1, 2
  loop
    severity := 'critical'; code := 'seal_not_last'; object := item.relation;
    problem := format('trigger %I fires behind the one that seals, and could put a plaintext in a sealed value''s place', item.tgname);
    fix := format('alter trigger %I on %s rename to %I;', item.tgname, item.relation, left('before_' || ltrim(item.tgname, '~'), 63));
    return next;
  end loop;

  for item in select * from tenantry_private.open_jobs() loop
    severity := case when item.job like 'scrub %' then 'warning' else 'info' end; code := 'job_open'; object := item.relation;
    problem := case when item.job like 'scrub %'
      then format('the copies of plaintexts of %I were dropped at %s, and the table has not been rewritten since: they are in dead rows', item.column_name, item.started_at)
      else format('job %s has been open since %s, %s rows done: tenantry_engine may read and write every row meanwhile', split_part(item.job, ' ', 1), item.started_at, item.done) end;
    fix := case when item.job like 'scrub %' then format('call tenantry.encrypt_existing(%L, %L, %L, ''sealed'');', item.relation, item.column_name, item.path)
                when item.job like 'reseal %' then 'call tenantry.rotate_data_keys(<the application''s share>);'
                when item.job like 'open %' then format('call tenantry.unencrypt_column(%L, %L, %L, <the application''s share>);', item.relation, item.column_name, item.path)
                else format('call tenantry.encrypt_existing(%L, %L, %L, key_share => <the application''s share>);', item.relation, item.column_name, item.path) end;
    return next;
  end loop;

  if tenantry_private.key_provider() = 'file'
     and not (select r.rolsuper from pg_catalog.pg_proc p join pg_catalog.pg_roles r on r.oid = p.proowner
               where p.oid = 'tenantry_private.key_file()'::regprocedure) then
    severity := 'critical'; code := 'key_file_missing'; object := current_database();
    problem := 'the key provider is a file, which this server has not been told: a restore does not bring it';
    fix := 'select tenantry.set_key_provider(''session'');';
    return next;
  end if;
end
$$;

comment on function tenantry_private.secret_findings() is 'Findings secret_keys_missing, secret_registry_missing, plaintext_copies, seal_not_last, job_open, key_file_missing.';
