create function tenantry_private.record_encrypted_column(secret tenantry_private.encrypted_columns, import_with regprocedure default null)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  made_from uuid;
begin
  perform tenantry_private.require_admin('encrypt columns');
  perform tenantry_private.require_declarable(secret.relation);
  -- Made from the names where it is free, so that what is generated on one database fits another with the same schema. Values
  -- are bound to it, and to their database by the key of its tags.
  made_from := md5(secret.relation::text || E'\x1f' || secret.column_name || E'\x1f' || secret.path::text)::uuid;
  if exists (select from tenantry_private.encrypted_columns c where c.column_id = made_from) then
    made_from := gen_random_uuid();
  end if;
  insert into tenantry_private.encrypted_columns
         (column_id, relation, column_name, attnum, index_attnum, path, data_type, state, index_column, audited, max_length, plain_column, imports)
  values (made_from, secret.relation, secret.column_name, tenantry_private.column_number(secret.relation, secret.column_name),
          tenantry_private.column_number(secret.relation, secret.index_column), secret.path, secret.data_type, secret.state, secret.index_column, secret.audited,
          secret.max_length, secret.plain_column, import_with is not null);
  if import_with is not null then
    perform tenantry_private.make_import(made_from, import_with);
  end if;
  perform tenantry_private.note('encrypt_column', secret.relation::text, jsonb_build_object('column', secret.column_name, 'path', nullif(secret.path, '{}'), 'state', secret.state));
end
$$;

comment on function tenantry_private.record_encrypted_column(tenantry_private.encrypted_columns, regprocedure) is 'Declares an encrypted column: the definer half of encrypt_column().';

create function tenantry_private.move_encrypted_column(secret_column uuid, to_state text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  target     constant regclass := (select c.relation from tenantry_private.encrypted_columns c where c.column_id = secret_column);
  the_column constant name     := (select c.column_name from tenantry_private.encrypted_columns c where c.column_id = secret_column);
begin
  perform tenantry_private.require_admin('encrypt columns');
  perform tenantry_private.require_declarable(target);
  if to_state is null then
    delete from tenantry_private.encrypted_columns c where c.column_id = secret_column;
    delete from tenantry_private.index_keys i where i.column_id = secret_column;
  else
    update tenantry_private.encrypted_columns c
       set state        = to_state,
           plain_column = case when to_state <> 'sealed' then c.plain_column end,
           imports      = to_state <> 'sealed' and c.imports
     where c.column_id = secret_column;
  end if;
  perform tenantry_private.drop_idle_imports();
  perform tenantry_private.note(case when to_state is null then 'unencrypt_column' else 'encrypt_existing' end, target::text,
    jsonb_build_object('column', the_column, 'state', coalesce(to_state, 'plain')));
end
$$;

comment on function tenantry_private.move_encrypted_column(uuid, text) is 'Moves an encrypted column to another state; null forgets it.';

-- What cannot be sealed in place, with the way round.
create function tenantry_private.require_sealable(target regclass, column_name name, path text[], blind_index boolean)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  "column"    pg_catalog.pg_attribute;
  type        regtype;
  item        record;
begin
  if declaration.class is null or declaration.class not in ('owned', 'by_parent') then
    perform tenantry_private.refuse(format('%s is not protected, so nobody is there whose keys could seal its values', target),
      format('Run: select * from tenantry.protect(%L); first.', target));
  end if;
  select a.* into "column" from pg_catalog.pg_attribute a where a.attrelid = target and a.attname = column_name and a.attnum > 0 and not a.attisdropped;
  if not found then
    perform tenantry_private.refuse(format('%s has no column %I', target, column_name), format('List them: \d %s', target));
  end if;
  type := tenantry_private.base_type("column".atttypid);
  if type not in ('text'::regtype, 'character varying'::regtype, 'json'::regtype, 'jsonb'::regtype, 'bytea'::regtype) or type <> "column".atttypid then
    perform tenantry_private.refuse(format('%s.%I is of type %s, which cannot hold a sealed value', target, column_name, format_type("column".atttypid, "column".atttypmod)),
      format('text, varchar, json, jsonb and bytea can. Run: alter table %s alter column %I type text; and read it as %s where it is used.', target, column_name, format_type("column".atttypid, null)));
  end if;
  if path <> '{}' and type <> 'jsonb'::regtype then
    perform tenantry_private.refuse(format('a path needs a jsonb column, %s.%I is %s', target, column_name, type),
      case when type = 'json'::regtype then format('Run: alter table %s alter column %I type jsonb; or encrypt the whole column.', target, column_name) else 'Leave the path out.' end);
  end if;
  if "column".attgenerated <> '' then
    perform tenantry_private.refuse(format('%s.%I is generated from other columns, which hold its value in clear', target, column_name), 'Encrypt those.');
  end if;
  if column_name = declaration.owner_column or "column".attnum = any (tenantry_private.primary_key(target)) then
    perform tenantry_private.refuse(format('%s.%I says which row this is, or whose', target, column_name), 'Its value is part of what secrets are bound to. Encrypt another column.');
  end if;
  if tenantry_private.inheriting(target) is not null then
    perform tenantry_private.refuse(format('%s inherit from %s, and no trigger seals what is written there', tenantry_private.inheriting(target), target),
      'Partition the table instead, or end that: alter table … no inherit …;');
  end if;
  if tenantry_private.primary_key(target) is null then
    perform tenantry_private.refuse(format('%s has no primary key, which values are bound to', target),
      format('Run: alter table %s add column id uuid primary key default gen_random_uuid();', target));
  end if;
  for item in
    select a.attname, format_type(a.atttypid, a.atttypmod) as type
      from pg_catalog.pg_attribute a
     where a.attrelid = target and a.attnum = any (tenantry_private.primary_key(target)) and tenantry_private.key_bytes('', a.atttypid) is null
  loop
    perform tenantry_private.refuse(format('the primary key of %s has a column %I of type %s, whose values have no one form', target, item.attname, item.type),
      'Values are bound to uuid, integer, text, bytea, date, timestamp, boolean and enum keys.');
  end loop;
  if "column".attnum = any (coalesce((select p.partattrs::smallint[] from pg_catalog.pg_partitioned_table p where p.partrelid = target), '{}')) then
    perform tenantry_private.refuse(format('%s is partitioned by %I', target, column_name), 'A sealed value says nothing about its partition. Encrypt another column.');
  end if;
  for item in
    select c.conname, c.contype, pg_get_constraintdef(c.oid) as definition
      from pg_catalog.pg_constraint c
     where c.conrelid = target and c.contype in ('c', 'f', 'u', 'x') and "column".attnum = any (c.conkey)
     order by c.conname
  loop
    perform tenantry_private.refuse(format('constraint %I of %s would judge sealed values of %I: %s', item.conname, target, column_name, item.definition),
      case item.contype
        when 'c' then format('Check plaintexts in the application. Run: alter table %s drop constraint %I;', target, item.conname)
        when 'u' then format('Run: alter table %s drop constraint %I; encrypt it with blind_index => true, and make the index column unique.', target, item.conname)
        else format('Run: alter table %s drop constraint %I;', target, item.conname) end);
  end loop;
  for item in
    select i.indexrelid::regclass as name, i.indisunique
      from pg_catalog.pg_depend d
      join pg_catalog.pg_index i on i.indexrelid = d.objid and i.indrelid = target
     where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = target and d.refobjsubid = "column".attnum
     order by 1
  loop
    perform tenantry_private.refuse(format('index %s would order or find sealed values of %I, and keeps plaintexts', item.name, column_name),
      format('Run: drop index %s;%s', item.name, case when item.indisunique then ' encrypt it with blind_index => true, and make the index column unique.' else ' blind_index => true gives exact search.' end));
  end loop;
  for item in
    select d.classid::regclass as catalog, pg_describe_object(d.classid, d.objid, 0) as name,
           a.attname, a.attgenerated <> '' as generated
      from pg_catalog.pg_depend d
      left join pg_catalog.pg_attrdef f on d.classid = 'pg_catalog.pg_attrdef'::regclass and f.oid = d.objid
      left join pg_catalog.pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum
     where d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = target and d.refobjsubid = "column".attnum
       and d.classid in ('pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_statistic_ext'::regclass, 'pg_catalog.pg_attrdef'::regclass)
       and (f.oid is null or f.adnum <> "column".attnum)
     order by 1, 2
  loop
    perform tenantry_private.refuse(format('%s reads %s.%I and would read sealed values', item.name, target, column_name),
      case when item.generated then format('Run: alter table %s drop column %I;', target, item.attname) else 'Drop it, or let it read other columns.' end);
  end loop;
  for item in
    select t.tgname
      from pg_catalog.pg_trigger t
     where t.tgrelid = target and not t.tgisinternal and t.tgtype & 67 = 3 and t.tgtype & 20 <> 0 and t.tgname > '~tenantry_seal' and t.tgname not like '~tenantry\_seal\_%'
  loop
    perform tenantry_private.refuse(format('trigger %I of %s would fire behind the one that seals, and could put a plaintext in a sealed value''s place', item.tgname, target),
      format('Run: alter trigger %I on %s rename to <a name that sorts before ~>;', item.tgname, target));
  end loop;
  for item in
    select e.path
      from tenantry_private.encrypted(target) e
     where e.column_name = column_name
       and (e.path[1:cardinality(path)] = path or path[1:cardinality(e.path)] = e.path)
  loop
    perform tenantry_private.refuse(format('%s.%I%s is encrypted already', target, column_name, coalesce(' at ' || nullif(item.path::text, '{}'), '')),
      'One of two paths must not lie within the other. See tenantry.encrypted_columns.');
  end loop;
  if blind_index and (path <> '{}' or type not in ('text'::regtype, 'character varying'::regtype)) then
    perform tenantry_private.refuse('a blind index needs a text or varchar column', 'Leave blind_index out, or keep what is searched in a column of its own.');
  end if;
  if blind_index and "column".atttypmod between 5 and 8 then
    perform tenantry_private.refuse(format('%s.%I is too short for a blind index: whoever has a dump could tell all its values apart', target, column_name),
      'A blind index shows which rows have equal values. Leave it out.');
  end if;
end
$$;

comment on function tenantry_private.require_sealable(regclass, name, text[], boolean) is 'Refuses what cannot be sealed in place, with the way round. Error: TN011.';

-- What somebody who sees the rows can say about them: {values there, a domain too small for a blind index}.
create function tenantry_private.values_there(target regclass, column_name name, path text[], blind_index boolean)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  there     boolean;
  total     bigint;
  distinct_ bigint;
begin
  if row_security_active(target) then
    -- Bound by row-level security: whether the table is empty is all there is to see.
    return (select coalesce(sum(pg_relation_size(r.relation)), 0) > 0 from tenantry_private.relation_tree(target) r);
  end if;
  execute case when path = '{}' then format('select exists (select from %s where %I is not null)', target, column_name)
               else format('select exists (select from %s where coalesce(%I #> %L, ''null'') <> ''null'')', target, column_name, path) end
     into there;
  if there and blind_index then
    execute format('select count(v), count(distinct v) from (select %I as v from %s limit 20000) s', column_name, target) into total, distinct_;
    if total >= 50 and distinct_ < 20 then
      perform tenantry_private.refuse(format('%s.%I has %s different values in %s rows: a blind index would tell who has which', target, column_name, distinct_, total),
        'A blind index shows which rows have equal values. Leave it out.');
    end if;
  end if;
  return there;
end
$$;

comment on function tenantry_private.values_there(regclass, name, text[], boolean) is 'Whether a column has values already. Error: TN011 for a domain too small for a blind index.';

create function tenantry_private.free_column(target regclass, wanted text)
returns name
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select left(wanted, 60 - length(coalesce(nullif(n, 0)::text, ''))) || coalesce('_' || nullif(n, 0), '')
    from generate_series(0, 100) n
   where tenantry_private.column_type(target, left(wanted, 60 - length(coalesce(nullif(n, 0)::text, ''))) || coalesce('_' || nullif(n, 0), '')) is null
   order by n
   limit 1);

comment on function tenantry_private.free_column(regclass, text) is 'A free name for a column.';

-- Everything that is missing before a declared table is as declared.
create function tenantry_private.plan_everything(target regclass, out statements text[], out locks text[])
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
begin
  select array_agg(p.statement), array_agg(p.lock)
    into statements, locks
    from (select * from tenantry_private.plan_table(declaration)
          union all
          select * from tenantry_private.plan_triggers(declaration)) p;
end
$$;

comment on function tenantry_private.plan_everything(regclass) is 'All statements that are missing before a table is as declared.';

create function tenantry_private.settle_table(target regclass, first_step integer, dry_run boolean)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  planned record;
begin
  select * into planned from tenantry_private.plan_everything(target);
  if planned.statements is not null and not dry_run then
    perform tenantry_private.lock_facade(target);
  end if;
  return query select * from tenantry_private.carry_out(planned.statements, planned.locks, first_step, dry_run);
  if not dry_run then
    perform tenantry_private.confirm_table(target);
  end if;
end
$$;

comment on function tenantry_private.settle_table(regclass, integer, boolean) is 'Makes a table as declared, policies, grants, triggers and view.';

create function tenantry.encrypt_column(
  target      regclass,
  column_name name,
  path        text[]       default '{}',
  blind_index boolean      default false,
  audited     boolean      default false,
  import_with regprocedure default null,
  dry_run     boolean      default false
)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  declaration tenantry_private.tables;
  secret      tenantry_private.encrypted_columns;
  "column"    pg_catalog.pg_attribute;
  statements  text[] := '{}';
  locks       text[] := '{}';
  later       record;
  taken       regclass;
  last        integer := 0;
begin
  perform tenantry_private.require_own_table(target, 'encrypt_column');
  path := coalesce(path, '{}');
  perform tenantry_private.require_sealable(target, column_name, path, blind_index);
  if not tenantry_private.has_master_key() then
    perform tenantry_private.refuse('this database has no master key', 'Run: tenantry keys create; or select tenantry.create_master_key(<the application''s share>);');
  end if;
  select v.oid::regclass
    into taken
    from pg_catalog.pg_class c
    join pg_catalog.pg_class v on v.relname = c.relname and v.relnamespace = to_regnamespace('tenant')
   where c.oid = target and v.oid is distinct from tenantry_private.view_on(target, 'tenant');
  if taken is not null then
    perform tenantry_private.refuse(format('the name of the decrypting view, %s, is taken', taken),
      format('A table of that name in another schema has it. Rename one of the tables: alter table %s rename to …;', target));
  end if;
  declaration := tenantry_private.declared(target);
  select a.* into "column" from pg_catalog.pg_attribute a where a.attrelid = target and a.attname = column_name;

  secret.relation    := target;
  secret.column_name := column_name;
  secret.path        := path;
  secret.data_type   := case tenantry_private.base_type("column".atttypid) when 'character varying'::regtype then 'text' else format_type("column".atttypid, null) end;
  secret.audited     := audited;
  secret.state       := 'sealed';
  if tenantry_private.values_there(target, column_name, path, blind_index) then
    secret.state        := 'added';
    secret.plain_column := tenantry_private.free_column(target, column_name || '_plain');
    statements := statements || format('alter table %s add column %I %s', target, secret.plain_column,
      case when path <> '{}' then 'jsonb' else format_type("column".atttypid, null) end);
    locks := locks || 'ACCESS EXCLUSIVE'::text;
  elsif import_with is not null then
    perform tenantry_private.refuse(format('%s.%I has no values to import', target, column_name), 'Leave import_with out.');
  end if;
  if "column".atttypid = 'character varying'::regtype and "column".atttypmod > 4 and path = '{}' then
    secret.max_length := "column".atttypmod - 4;
    if exists (select from tenantry_private.encrypted(target)) then
      statements := statements || format('select tenantry_private.drop_facade(%L)', target);
      locks := locks || null::text;
    end if;
    if tenantry_private.view_on(target, 'reach') is not null then
      statements := statements || format('select tenantry_private.drop_reach_view(%L)', target);
      locks := locks || null::text;
    end if;
    statements := statements || format('alter table %s alter column %I type character varying', target, column_name);
    locks := locks || 'ACCESS EXCLUSIVE'::text;
  end if;
  if blind_index then
    secret.index_column := tenantry_private.free_column(target, column_name || '_index');
    statements := statements || format('alter table %s add column %I bytea', target, secret.index_column)
                             || format('create index on %s (%I, %I)', target, declaration.owner_column, secret.index_column);
    locks := locks || 'ACCESS EXCLUSIVE'::text || 'SHARE'::text;
  end if;

  if not dry_run then
    perform tenantry_private.lock_facade(target);
  end if;
  for step, statement, lock in select * from tenantry_private.carry_out(statements, locks, 0, dry_run) loop
    last := step;
    return next;
  end loop;
  if not dry_run then
    perform tenantry_private.record_encrypted_column(secret, import_with);
    return query select * from tenantry_private.settle_table(target, last, false);
  else
    -- Declared for as long as it takes to plan what would follow.
    begin
      perform tenantry_private.record_encrypted_column(secret, import_with);
      select * into later from tenantry_private.plan_everything(target);
      raise exception using errcode = 'TN000';
    exception
      when sqlstate 'TN000' then null;
    end;
    return query select * from tenantry_private.carry_out(later.statements, later.locks, last, true);
  end if;
  if secret.state = 'added' then
    raise notice '%.% has values: nothing is sealed yet. Let the application read tenant.%, then run: call tenantry.encrypt_existing(%, %, key_share => …);',
      target, quote_ident(column_name), quote_ident((select c.relname from pg_catalog.pg_class c where c.oid = target)), quote_literal(target), quote_literal(column_name);
  end if;
end
$$;

comment on function tenantry.encrypt_column(regclass, name, text[], boolean, boolean, regprocedure, boolean) is
  'Seals a column of a protected table in place: it is written as if plain and read decrypted through tenant.<table>. path: only what lies there in a jsonb column. blind_index: adds a column for exact search (tenantry.blind_index()), which shows equal values to whoever has a dump. audited: records who reads it decrypted. import_with: opens values that the application had encrypted itself (text to text, security definer). A table with values in the column is left as it is until tenantry.encrypt_existing(). Returns the statements carried out; dry_run only shows them. Errors: 42501, TN011.';

create function tenantry_private.has_master_key()
returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
return exists (select from tenantry_private.master_keys where state = 'active');

comment on function tenantry_private.has_master_key() is 'Whether there is a master key.';
