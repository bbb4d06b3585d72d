-- Privileges are PostgreSQL's own words plus two. In a context they are a list with a comma at either end, so that a
-- look-up is one strpos; in links they are bits, so that a chain is their intersection. A privilege that is held by
-- delegation alone is listed a second time behind an equals sign: it is for the data of the principal itself, and not for
-- what the principal owns, belongs to or was given.
create function tenantry_private.all_privileges()
returns text
language sql immutable parallel safe
return ',select,insert,update,delete,decrypt,delegate,';

comment on function tenantry_private.all_privileges() is 'Every privilege: select, insert, update, delete, decrypt, delegate.';

create function tenantry_private.privilege_list(bits integer)
returns text
language sql immutable parallel safe
return ','
    || case when bits & 1  <> 0 then 'select,'   else '' end
    || case when bits & 2  <> 0 then 'insert,'   else '' end
    || case when bits & 4  <> 0 then 'update,'   else '' end
    || case when bits & 8  <> 0 then 'delete,'   else '' end
    || case when bits & 16 <> 0 then 'decrypt,'  else '' end
    || case when bits & 32 <> 0 then 'delegate,' else '' end
    || case when bits < 64 then ''
            else case when bits & 64   <> 0 then '=select,'   else '' end
              || case when bits & 128  <> 0 then '=insert,'   else '' end
              || case when bits & 256  <> 0 then '=update,'   else '' end
              || case when bits & 512  <> 0 then '=delete,'   else '' end
              || case when bits & 1024 <> 0 then '=decrypt,'  else '' end
              || case when bits & 2048 <> 0 then '=delegate,' else '' end
       end;

comment on function tenantry_private.privilege_list(integer) is
  'Privileges from bits: 1 select, 2 insert, 4 update, 8 delete, 16 decrypt, 32 delegate; the same times 64: held by delegation alone.';

create function tenantry_private.privilege_names(bits integer)
returns text[]
language sql immutable parallel safe
return string_to_array(nullif(trim(both ',' from tenantry_private.privilege_list(bits & 63)), ''), ',');

comment on function tenantry_private.privilege_names(integer) is 'Privileges from bits, as an array; null for none.';

create function tenantry_private.privilege_bits(privileges text[])
returns integer
language plpgsql immutable parallel safe
as $$
declare
  bits     integer := 0;
  mask      integer;
  position integer;
begin
  for at in 1 .. coalesce(cardinality(privileges), 0) loop
    position := array_position(array['select', 'insert', 'update', 'delete', 'decrypt', 'delegate'], privileges[at]);
    mask := case when privileges[at] = 'all' then 63 else 1 << (position - 1) end;
    if mask is null then
      raise exception 'there is no privilege %', coalesce(quote_literal(privileges[at]), 'null')
        using errcode = '22023', hint = 'Privileges: select, insert, update, delete, decrypt, delegate; all for all of them.';
    end if;
    bits := bits | mask;
  end loop;
  return bits;
end
$$;

comment on function tenantry_private.privilege_bits(text[]) is 'Bits from names of privileges; all stands for all of them. Error: 22023.';
