-- Ids are compared in the column's own type. These types have an equality that is exact, leakproof and cheap; char(n)
-- and domains with a length would cut an id when it is cast, citext would make two ids one, numeric equality leaks.
create function tenantry_private.base_type(column_type oid)
returns regtype
language plpgsql stable
as $$
declare
  type_oid oid := column_type;
  found_in record;
begin
  loop
    select t.typtype, t.typbasetype into found_in from pg_catalog.pg_type t where t.oid = type_oid;
    if found_in.typtype is distinct from 'd' then
      return case when found_in.typtype is not null then type_oid::regtype end;
    end if;
    type_oid := found_in.typbasetype;
  end loop;
end
$$;

comment on function tenantry_private.base_type(oid) is 'The type below any domains.';

create function tenantry_private.id_cast(column_type oid)
returns text
language sql stable
return case tenantry_private.base_type(column_type)
         when 'uuid'::regtype              then 'uuid'
         when 'bigint'::regtype            then 'bigint'
         when 'integer'::regtype           then 'integer'
         when 'smallint'::regtype          then 'smallint'
         when 'text'::regtype              then 'text'
         when 'character varying'::regtype then 'text'
       end;

comment on function tenantry_private.id_cast(oid) is 'The type an id is cast to before it is compared with a column; null for a type that cannot hold ids.';

create function tenantry_private.column_type(relation regclass, column_name name)
returns oid
language plpgsql stable
as $$
begin
  return (
    select a.atttypid
      from pg_catalog.pg_attribute a
     where a.attrelid = relation and a.attname = column_name and a.attnum > 0 and not a.attisdropped);
end
$$;

comment on function tenantry_private.column_type(regclass, name) is 'Type of a column; null if there is no such column.';

create function tenantry_private.column_number(relation regclass, column_name name)
returns smallint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select a.attnum
      from pg_catalog.pg_attribute a
     where a.attrelid = relation and a.attname = column_name and a.attnum > 0 and not a.attisdropped);
end
$$;

comment on function tenantry_private.column_number(regclass, name) is 'Number of a column; null if there is no such column.';

create function tenantry_private.refuse(message text, hint text)
returns void
language plpgsql
as $$
begin
  raise exception using errcode = 'TN011', message = message, hint = hint;
end
$$;

comment on function tenantry_private.refuse(text, text) is 'Raises TN011: set-up refused. The hint is the next command.';
