-- The decrypting view tenant.<table>, of tenantry_facade, whom row-level security binds: it shows the own path. No
-- security_barrier, which would keep LIMIT and joins from the indexes; policies run before any function of a user's all the
-- same. Views are made by their owner's own functions, so that nothing of it ever belongs to anybody else.

create function tenantry_private.facade_text(target regclass)
returns text
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('make decrypting views');
  return tenantry_private.facade_source(target);
end
$$;

comment on function tenantry_private.facade_text(regclass) is 'The query of tenant.<table>, for its owner.';

create function tenantry_private.record_facade(target regclass, source text)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('make decrypting views');
  perform tenantry_private.require_declarable(target);
  delete from tenantry_private.facades f where f.relation = target;
  if source is not null then
    insert into tenantry_private.facades (relation, source) values (target, source);
  end if;
end
$$;

comment on function tenantry_private.record_facade(regclass, text) is 'Remembers what a decrypting view was made from; null forgets it.';

create function tenantry_private.facade(target regclass)
returns regclass
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select v.oid::regclass
    from pg_catalog.pg_class c
    join pg_catalog.pg_class v on v.relname = c.relname and v.relnamespace = to_regnamespace('tenant')
   where c.oid = target);

comment on function tenantry_private.facade(regclass) is 'The relation that has the place of a table''s decrypting view.';

create function tenantry_private.facade_made_from(target regclass)
returns text
language sql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
return (
  select f.source
    from tenantry_private.facades f
    join pg_catalog.pg_class c on c.oid = tenantry_private.facade(target) and c.relkind = 'v' and c.relowner = to_regrole('tenantry_facade')
   where f.relation = target);

comment on function tenantry_private.facade_made_from(regclass) is 'What the decrypting view of a table was made from; null where there is none.';

grant create on schema tenantry_private to tenantry_facade;
set local role tenantry_facade;

create function tenantry_private.define_facade(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  source constant text := tenantry_private.facade_text(target);
  view   constant text := format('tenant.%I', (select c.relname from pg_catalog.pg_class c where c.oid = target));
begin
  perform tenantry_private.require_admin('make decrypting views');
  if source is null then
    return;
  end if;
  perform tenantry_private.record_facade(target, source);
  if to_regclass(view) is not null then
    execute format('drop view %s', view);
  end if;
  execute format('create view %s as %s', view, source);
  execute format('comment on view %s is %L', view,
    format('Own rows of %s, with secrets decrypted. Write through the table itself.', target));
  execute format('grant select, insert, update, delete on %s to tenantry_user', view);
end
$$;

comment on function tenantry_private.define_facade(regclass) is 'Makes, or makes anew, the decrypting view of a table.';

create function tenantry_private.drop_facade(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  view constant text := format('tenant.%I', (select c.relname from pg_catalog.pg_class c where c.oid = target));
begin
  perform tenantry_private.require_admin('make decrypting views');
  perform tenantry_private.record_facade(target, null);
  if to_regclass(view) is not null then
    execute format('drop view %s', view);
  end if;
end
$$;

comment on function tenantry_private.drop_facade(regclass) is 'Drops the decrypting view of a table.';

revoke all on function tenantry_private.define_facade(regclass), tenantry_private.drop_facade(regclass) from public;
grant execute on function tenantry_private.define_facade(regclass), tenantry_private.drop_facade(regclass) to tenantry_admin;

set local role tenantry_owner;
revoke create on schema tenantry_private from tenantry_facade;
