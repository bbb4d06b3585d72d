-- Privileges are PostgreSQL's own words plus two. In a context they are a list with a comma at either end, so that a
-- look-up is one strpos; in links they are bits, so that a chain is their intersection.
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
    || case when bits & 32 <> 0 then 'delegate,' else '' end;

comment on function tenantry_private.privilege_list(integer) is 'Privileges from bits: 1 select, 2 insert, 4 update, 8 delete, 16 decrypt, 32 delegate.';
