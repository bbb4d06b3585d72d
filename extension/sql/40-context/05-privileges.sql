-- Privileges are PostgreSQL's own words plus two. In a context they are a list with a comma at either end, so that a
-- look-up is one strpos; in links they are bits, so that a chain is their intersection. A privilege that is held by
-- delegation alone is listed a second time behind an equals sign: it is for the data of the principal itself, and not for
-- what the principal owns, belongs to or was given.
-- Nobody in particular owns nothing, and has nothing to hand on.
create function tenantry_private.own_privileges(entity text)
returns text
language sql immutable parallel safe
return case when starts_with(entity, 'anonymous:') then ',select,' else ',select,insert,update,delete,decrypt,delegate,' end;

comment on function tenantry_private.own_privileges(text) is 'What an entity that works for itself may do: everything; the anonymous one only reads.';

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

create function tenantry_private.privilege_bit(privilege text, beside text default '')
returns integer
language plpgsql immutable parallel safe
as $$
declare
  position constant integer := array_position(tenantry_private.privilege_names(63), privilege);
begin
  if position is null then
    raise exception 'there is no privilege %', coalesce(quote_literal(privilege), 'null')
      using errcode = '22023', hint = 'Privileges: select, insert, update, delete, decrypt, delegate' || beside || '.';
  end if;
  return 1 << (position - 1);
end
$$;

comment on function tenantry_private.privilege_bit(text, text) is 'The bit of a privilege. beside: what the hint names besides. Error: 22023.';

create function tenantry_private.privilege_bits(privileges text[])
returns integer
language plpgsql immutable parallel safe
as $$
declare
  bits integer := 0;
begin
  for at in 1 .. coalesce(cardinality(privileges), 0) loop
    bits := bits | case when privileges[at] = 'all' then 63 else tenantry_private.privilege_bit(privileges[at], '; all for all of them') end;
  end loop;
  return bits;
end
$$;

comment on function tenantry_private.privilege_bits(text[]) is 'Bits from names of privileges; all stands for all of them. Error: 22023.';

create function tenantry_private.context_privileges(context text[])
returns text[]
language sql immutable parallel safe
return array(
  select p from unnest(string_to_array(trim(both ',' from context[4]), ',')) with ordinality as w (p, n) where p not like '=%' order by n);

comment on function tenantry_private.context_privileges(text[]) is 'The privileges that a context leaves, however it holds them.';
