create view tenantry.tables as
select t.relation, n.nspname as schema_name, c.relname as table_name, t.class, t.owner_column, t.owner_kind,
       t.owner_from, t.parent, t.unchecked_references, t.writers, t.reason, t.declared_by, t.declared_at,
       t.reach, t.shared_by, t.public_when, t.actor_column
  from tenantry_private.tables t
  join pg_catalog.pg_class c on c.oid = t.relation
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace;

comment on view tenantry.tables is 'How each application table is isolated: owned, by_parent, shared or exempt.';

create view tenantry.schemas as
select s.schema_name, s.migration_role, s.owner_column, s.owner_kind from tenantry_private.schemas s;

comment on view tenantry.schemas is 'Schemas that tenantry manages, the role that migrations run as, and the column by which new tables there are protected.';

-- A declaration passes between the halves of protect() as one row of the registry.
create function tenantry_private.declared(target regclass)
returns tenantry_private.tables
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  declaration tenantry_private.tables;
begin
  select * into declaration from tenantry_private.tables t where t.relation = target;
  return declaration;
end
$$;

comment on function tenantry_private.declared(regclass) is 'The declaration of a table; null if there is none.';

-- Known before it is recorded, so that dry_run can show the very statements.
create function tenantry_private.new_tag(target regclass)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return substr(md5(target::oid || '.' || target::text), 1, 12);

comment on function tenantry_private.new_tag(regclass) is 'Names the trigger functions of a table that is declared now.';

-- Whoever runs sync() later does it with powers of their own, so nobody declares a table that is not theirs, or makes
-- check() look away from it. Only the login is known here: in a definer function current_user is its owner.
create function tenantry_private.require_declarable(target regclass)
returns void
language plpgsql stable
as $$
begin
  if exists (
       select
         from pg_catalog.pg_class c
        where c.oid = target and not pg_has_role(session_user, c.relowner, 'member')) then
    raise exception '% does not own %', quote_ident(session_user), target
      using errcode = '42501', hint = 'Connect as a member of its owner, or as a superuser.';
  end if;
end
$$;

comment on function tenantry_private.require_declarable(regclass) is 'Raises 42501 unless the session''s login owns a table, or it is gone.';

create function tenantry_private.is_closed(target regclass)
returns boolean
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  -- With policies of its owner's it is not only closed.
  return exists (select from tenantry_private.known_relations k where k.relation = target and k.closed)
     and not exists (select from pg_catalog.pg_policy p where p.polrelid = target);
end
$$;

comment on function tenantry_private.is_closed(regclass) is 'Whether row-level security of a table is on because it was closed at birth.';

-- Without questions: whoever calls this has asked them.
create function tenantry_private.write_declaration(declaration tenantry_private.tables)
returns void
language plpgsql volatile
as $$
begin
  insert into tenantry_private.tables as t
         (relation, tag, class, owner_column, owner_kind, owner_from, parent, unchecked_references, writers, reason, before,
          reach, shared_by, public_when, actor_column)
  values (declaration.relation, tenantry_private.new_tag(declaration.relation), declaration.class, declaration.owner_column, declaration.owner_kind, declaration.owner_from,
          declaration.parent, declaration.unchecked_references, declaration.writers, declaration.reason, declaration.before,
          coalesce(declaration.reach, true), coalesce(declaration.shared_by, '{}'), declaration.public_when, declaration.actor_column)
      on conflict (relation) do update
     set class                = excluded.class,
         owner_column         = excluded.owner_column,
         owner_kind           = excluded.owner_kind,
         owner_from           = excluded.owner_from,
         parent               = excluded.parent,
         unchecked_references = excluded.unchecked_references,
         writers              = excluded.writers,
         reason               = excluded.reason,
         reach                = excluded.reach,
         shared_by            = excluded.shared_by,
         public_when          = excluded.public_when,
         actor_column         = excluded.actor_column;
  -- Of a protected one it is kept: closed is what it goes back to.
  if declaration.class in ('shared', 'exempt') then
    update tenantry_private.known_relations k set closed = false where k.relation = declaration.relation and k.closed;
  end if;
  if declaration.public_when is not null then
    -- Whom nobody has said who they are: an entity like any other, which owns nothing and can be given nothing.
    insert into tenantry_private.kinds (kind, id_type) values ('anonymous', 'text') on conflict do nothing;
    insert into tenantry_private.entities (kind, id) values ('anonymous', 'anonymous') on conflict do nothing;
  end if;
  perform tenantry_private.note(case declaration.class when 'shared' then 'share' when 'exempt' then 'exempt' else 'protect' end, declaration.relation::text,
    jsonb_strip_nulls(jsonb_build_object('owner_column', declaration.owner_column, 'owner_kind', declaration.owner_kind, 'owner_from', declaration.owner_from,
      'writers', nullif(declaration.writers, '{}'), 'reason', declaration.reason, 'shared_by', nullif(declaration.shared_by, '{}'),
      'public_when', declaration.public_when, 'actor_column', declaration.actor_column)));
end
$$;

comment on function tenantry_private.write_declaration(tenantry_private.tables) is 'Writes a declaration.';

create function tenantry_private.is_guarded(target oid)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select
      from tenantry_private.guarded_relations g
      join pg_catalog.pg_database d on d.oid = g.database and d.datname = current_database()
     where g.relation = target);
end
$$;

comment on function tenantry_private.is_guarded(oid) is 'Whether a table is protected and has been found so in this database.';

create function tenantry_private.record_table(declaration tenantry_private.tables)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  -- The number of a table that is yet to come could be guessed.
  if not exists (select from pg_catalog.pg_class c where c.oid = declaration.relation) then
    perform tenantry_private.refuse(format('there is no table %s', declaration.relation), 'Declare tables that exist.');
  end if;
  if declaration.class <> 'exempt' or (tenantry_private.declared(declaration.relation)).class <> 'exempt' then
    perform tenantry_private.require_declarable(declaration.relation);
  end if;
  perform tenantry_private.write_declaration(declaration);
end
$$;

comment on function tenantry_private.record_table(tenantry_private.tables) is 'Writes a declaration: the definer half of protect(), share() and exempt().';

create function tenantry_private.erase_declaration(target regclass)
returns void
language plpgsql volatile
as $$
declare
  the_tag text;
  routine regprocedure;
begin
  delete from tenantry_private.tables t where t.relation = target returning t.tag into the_tag;
  delete from tenantry_private.granted_across g where g.relation = target;
  delete from tenantry_private.guarded_relations g where g.relation = target;
  for routine in
    select p.oid::regprocedure
      from pg_catalog.pg_proc p
     where p.pronamespace = 'tenantry_private'::regnamespace and p.pronargs = 0
       and p.proname in ('check_references_' || the_tag, 'fill_owner_' || the_tag, 'seal_' || the_tag)
  loop
    execute format('drop function %s', routine);
  end loop;
  perform tenantry_private.refresh_table_owners();
end
$$;

comment on function tenantry_private.erase_declaration(regclass) is 'Forgets a declaration and the trigger functions made for it, without questions.';

create function tenantry_private.forget_table(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  if (tenantry_private.declared(target)).class <> 'exempt' then
    perform tenantry_private.require_declarable(target);
  end if;
  perform tenantry_private.note('unprotect', target::text);
  perform tenantry_private.erase_declaration(target);
end
$$;

comment on function tenantry_private.forget_table(regclass) is 'The definer half of whatever takes a declaration back: erase_declaration().';

create function tenantry_private.refresh_table_owners()
returns void
language plpgsql volatile
as $$
begin
  delete from tenantry_private.table_owners o
   where not exists (
         select
           from tenantry_private.tables t
           join pg_catalog.pg_class c on c.oid = t.relation
          where t.class in ('owned', 'by_parent') and c.relowner = o.role_oid);
  insert into tenantry_private.table_owners (role_oid)
  select distinct c.relowner
    from tenantry_private.tables t
    join pg_catalog.pg_class c on c.oid = t.relation
   where t.class in ('owned', 'by_parent')
      on conflict do nothing;
end
$$;

comment on function tenantry_private.refresh_table_owners() is 'Brings tenantry_private.table_owners in step with the catalog.';

create function tenantry_private.table_owner_roles()
returns setof oid
language plpgsql stable security definer rows 5
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  -- Looked up anew: a table may have changed hands since its owner was noted.
  return query
  select distinct c.relowner
    from tenantry_private.tables t
    join pg_catalog.pg_class c on c.oid = t.relation
   where t.class in ('owned', 'by_parent');
end
$$;

comment on function tenantry_private.table_owner_roles() is 'Roles that own protected tables.';

create function tenantry_private.allowed_logins()
returns table (role_name name, granted_as text)
language plpgsql stable security definer rows 10
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  return query
  select a.role_name, a.granted_as
    from tenantry_private.allowed_roles a
    join pg_catalog.pg_roles r on r.oid = a.role_oid and r.rolname = a.role_name;
end
$$;

comment on function tenantry_private.allowed_logins() is 'Login roles allowed in this database that still exist.';
