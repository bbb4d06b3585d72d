-- Encrypted columns that have another name now, found by their numbers. Where the name is there, the number follows it:
-- a restore leaves out dropped columns, and so numbers anew.
create function tenantry_private.renamed_secrets()
returns table (relation regclass, old_name name, new_name name)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
begin atomic
  select distinct c.relation, which.name, a.attname
    from tenantry_private.encrypted_columns c
   cross join lateral (values (c.column_name, c.attnum), (c.index_column, c.index_attnum)) as which (name, attnum)
    join pg_catalog.pg_attribute a on a.attrelid = c.relation and a.attnum = which.attnum and not a.attisdropped
   where tenantry_private.column_number(c.relation, which.name) is null;
end;

comment on function tenantry_private.renamed_secrets() is 'Encrypted columns and index columns that have another name now.';

create function tenantry_private.follow_secrets()
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  renamed record;
begin
  delete from tenantry_private.encrypted_columns c where not exists (select from pg_catalog.pg_class r where r.oid = c.relation);
  delete from tenantry_private.views v where not exists (select from pg_catalog.pg_class r where r.oid = v.relation);
  delete from tenantry_private.engine_jobs j where not exists (select from pg_catalog.pg_class r where r.oid = j.relation);
  for renamed in select * from tenantry_private.renamed_secrets() loop
    update tenantry_private.encrypted_columns c
       set column_name  = case when c.column_name = renamed.old_name then renamed.new_name else c.column_name end,
           index_column = case when c.index_column = renamed.old_name then renamed.new_name else c.index_column end
     where c.relation = renamed.relation and renamed.old_name in (c.column_name, c.index_column);
  end loop;
  -- Dropped columns have no secrets.
  delete from tenantry_private.encrypted_columns c where tenantry_private.column_number(c.relation, c.column_name) is null;
  update tenantry_private.encrypted_columns c
     set attnum       = tenantry_private.column_number(c.relation, c.column_name),
         index_attnum = tenantry_private.column_number(c.relation, c.index_column),
         index_column = case when tenantry_private.column_number(c.relation, c.index_column) is not null then c.index_column end
   where c.attnum is distinct from tenantry_private.column_number(c.relation, c.column_name)
      or c.index_attnum is distinct from tenantry_private.column_number(c.relation, c.index_column)
      or c.index_column is not null and tenantry_private.column_number(c.relation, c.index_column) is null;
  perform tenantry_private.drop_idle_imports();
end
$$;

comment on function tenantry_private.follow_secrets() is 'Brings the declarations of encrypted columns in step with tables and columns that were renamed or are gone.';
