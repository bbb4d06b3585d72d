-- What is under way, and what it left.
create function tenantry_private.rollout_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  for item in select r.* from tenantry.rollout_status r order by r.relation::text loop
    object := item.relation;
    if item.state in ('transitional', 'verified') then
      severity := 'warning'; code := 'rollout_open';
      problem := format('it is %s: %s read and write every row without a context', item.state, coalesce(nullif(array_to_string(item.legacy_roles, ', '), ''), 'its owner may'));
      fix := format('call tenantry.rollout_to(%L, ''strict'');', item.relation);
      return next;
    elsif item.state in ('planned', 'prepared', 'backfilled') then
      severity := case when tenantry_private.readable_by_application(item.relation) then 'critical' else 'warning' end; code := 'rollout_open';
      problem := format('it is %s, and not isolated yet%s', item.state, case severity when 'critical' then ': the application reads or writes it' else '' end);
      fix := format('call tenantry.rollout_to(%L, ''strict'');', item.relation);
      return next;
    elsif tenantry_private.is_closing(item.relation) then
      severity := 'warning'; code := 'rows_unowned';
      problem := format('%s rows have no owner, and nobody sees them', item.quarantined + item.exempt);
      fix := format('call tenantry.rollout_to(%L, ''verified''); and decide them: select tenantry.rollout_resolve(…);', item.relation);
      return next;
    else
      severity := 'info'; code := 'rollout_open';
      problem := 'its rollout can still be undone, and it has a column of sources';
      fix := format('select tenantry.rollout_end(%L);', item.relation);
      return next;
    end if;
  end loop;
end
$$;

comment on function tenantry_private.rollout_findings() is 'Findings rollout_open, rows_unowned.';
