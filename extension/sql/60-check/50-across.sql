-- What goes across tenants on purpose, and whether the record of it is whole.
create function tenantry_private.across_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in select g.* from tenantry.granted_across g order by g.role_name, g.relation::text loop
    severity := 'info'; code := 'granted_across'; object := item.relation;
    problem := format('%I may %s rows of every owner (%s, %s): %s', item.role_name,
      case item.command when 'all' then 'read and write' when 'select' then 'read' else item.command end, item.granted_by, item.granted_at::date, item.reason);
    fix := format('select * from tenantry.revoke_across(%L, %L);', item.role_name, item.relation);
    return next;
  end loop;
  for item in select a.role_name, a.granted_as from tenantry_private.allowed_logins() a where a.granted_as in ('support', 'maintenance') order by 1, 2 loop
    severity := 'info'; code := 'login_across'; object := quote_ident(item.role_name);
    problem := case item.granted_as when 'support' then 'it may impersonate any entity, for reading' else 'it may break the glass: read and write the rows of every owner' end;
    -- Its policies go with the last one.
    fix := format('select tenantry.disallow(%L, %L);', item.role_name, item.granted_as) || case item.granted_as when 'maintenance' then ' select * from tenantry.sync();' else '' end;
    return next;
  end loop;

  select * into item from tenantry_private.audit_state();
  object := 'tenantry.audit';
  if item.broken_at is not null then
    severity := 'critical'; code := 'audit_broken';
    problem := format('entry %s does not follow from the one before it: somebody has changed the audit', item.broken_at);
    fix := format('-- compare with the server log, which has the hash of every entry: select * from tenantry.audit where id >= %s;', item.broken_at - 1);
    return next;
  elsif item.entries > 0 then
    severity := 'info'; code := 'audit_head';
    problem := format('%s entries, the last with hash %s', item.entries, item.head);
    fix := 'select * from tenantry.audit;';
    return next;
  end if;
end
$$;

comment on function tenantry_private.across_findings() is 'Findings granted_across, login_across, audit_broken, audit_head.';
