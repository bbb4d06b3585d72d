-- The installed files make an extension that answers, and that can be taken away again.
set client_min_messages = warning;
create extension tenantry cascade;
select tenantry.version();
select count(*) > 0 as has_functions
  from pg_proc
 where pronamespace = 'tenantry'::regnamespace;
drop extension tenantry;
