create function tenantry_private.write_expressions(target regclass)
returns void
language plpgsql volatile
as $$
declare
  declaration constant tenantry_private.tables := tenantry_private.declared(target);
  missing     text;
  printed     jsonb;
begin
  -- Whoever calls this, the table itself must say that it is protected.
  select string_agg(w.policy, ', ' order by w.position) filter (where (a.command, a.permissive, a.to_roles) is distinct from (w.command, w.permissive, array[w.to_role])),
         jsonb_object_agg(a.policy, jsonb_build_array(a.using_printed, a.check_printed, w.using_text, w.check_text)) filter (where a.policy is not null)
    into missing, printed
    from tenantry_private.wanted_policies(declaration) with ordinality as w (policy, command, permissive, to_role, using_text, check_text, position)
    left join tenantry_private.actual_policies(target) a on a.policy = w.policy;
  if missing is not null
     or not (select c.relrowsecurity and (c.relforcerowsecurity or tenantry_private.in_transition(target)) from pg_catalog.pg_class c where c.oid = target) then
    perform tenantry_private.refuse(format('%s is not protected: %s', target, coalesce('missing ' || missing, 'row-level security is not forced')),
      'Run: select * from tenantry.sync();');
  end if;
  update tenantry_private.tables t set expressions = printed where t.relation = target;
  insert into tenantry_private.guarded_relations as g (relation, database, owner)
  select target, d.oid, c.relowner
    from pg_catalog.pg_class c
    join pg_catalog.pg_database d on d.datname = current_database()
   where c.oid = target
      on conflict (relation) do update
     set database = excluded.database, owner = excluded.owner
   where (g.database, g.owner) <> (excluded.database, excluded.owner);
  insert into tenantry_private.known_relations (relation, schema_name)
  select c.oid, n.nspname
    from tenantry_private.relation_tree(target) tree
    join pg_catalog.pg_class c on c.oid = tree.relation
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      on conflict do nothing;
  perform tenantry_private.refresh_table_owners();
end
$$;

comment on function tenantry_private.write_expressions(regclass) is 'Records that a table carries what it was declared to carry, after looking.';

create function tenantry_private.confirm_table(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  perform tenantry_private.write_expressions(target);
end
$$;

comment on function tenantry_private.confirm_table(regclass) is 'The definer half of whatever protects a table: write_expressions().';

-- Carries statements out, or only shows them.
create function tenantry_private.carry_out(planned text[], locks text[], first_step integer, dry_run boolean)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  for position in 1 .. coalesce(cardinality(planned), 0) loop
    step      := first_step + position;
    statement := planned[position];
    lock      := locks[position];
    if not dry_run then
      execute statement;
    end if;
    return next;
  end loop;
end
$$;

comment on function tenantry_private.carry_out(text[], text[], integer, boolean) is 'Executes planned statements in order, unless dry_run, and returns them.';

-- Plans are made once: with the values of every table they would be made five times over, which costs more than they do.
create function tenantry_private.plan_table(declaration tenantry_private.tables)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
begin
  if declaration.class = 'by_parent' then
    return query select * from tenantry_private.plan_parent(declaration);
  end if;
  return query select * from tenantry_private.plan_owner_column(declaration);
  return query select * from tenantry_private.plan_row_security(declaration.relation);
  return query select * from tenantry_private.plan_policies(declaration);
  return query select * from tenantry_private.plan_grants(declaration.relation, array['select', 'insert', 'update', 'delete']);
  return query select * from tenantry_private.plan_reach_grants(declaration);
  return query select * from tenantry_private.plan_grants_across(declaration.relation);
end
$$;

comment on function tenantry_private.plan_table(tenantry_private.tables) is 'Every statement that is missing before a table is as declared, but for its triggers.';

-- Protected tables with a foreign key to this one: their reference checks change with it.
create function tenantry_private.referencing_tables(target regclass)
returns setof regclass
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select distinct t.relation
    from pg_catalog.pg_constraint c
    join tenantry.tables t on t.relation = c.conrelid and t.class in ('owned', 'by_parent')
   where c.confrelid = target and c.contype = 'f' and c.conparentid = 0 and c.conrelid <> target
   order by 1;
end
$$;

comment on function tenantry_private.referencing_tables(regclass) is 'Protected tables, other than itself, that refer to a table.';

-- What protect() was asked for, with what it was not told filled in.
create function tenantry_private.declaration_of(
  target               regclass,
  owner_column         name,
  owner_kind           text,
  owner_from           name[],
  unchecked_references name[],
  shared_by            jsonb   default null,
  public_when          text    default null,
  actor_column         name    default null,
  reach                boolean default null
)
returns tenantry_private.tables
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  known       constant tenantry_private.tables := tenantry_private.declared(target);
  declaration tenantry_private.tables;
  key         pg_catalog.pg_constraint;
  parent      tenantry_private.tables;
  candidate   record;
  unknown     name;
begin
  declaration.relation := target;
  declaration.tag := tenantry_private.new_tag(target);
  declaration.writers := '{}';
  declaration.unchecked_references := coalesce(unchecked_references, known.unchecked_references, '{}');

  if known.class in ('shared', 'exempt') then
    perform tenantry_private.refuse(format('%s is declared %s', target, known.class),
      format('Run: select %s first.', case known.class when 'shared' then format('* from tenantry.unshare(%L);', target) else format('tenantry.unexempt(%L);', target) end));
  end if;
  if owner_from is not null and owner_kind is not null then
    perform tenantry_private.refuse('owner_from and owner_kind exclude one another', 'A table that takes its owner from its parent has the parent''s kind of owner.');
  end if;

  -- A repeated call may leave out what is known; it may not change whose the rows are.
  if known.relation is not null then
    declaration := known;
    declaration.unchecked_references := coalesce(unchecked_references, known.unchecked_references);
    if coalesce(owner_column, known.owner_column) <> known.owner_column
       or coalesce(owner_kind, known.owner_kind) <> known.owner_kind
       or (owner_from is not null and owner_from is distinct from known.owner_from) then
      perform tenantry_private.refuse(
        format('%s is protected already, by %s', target,
          coalesce('owner_from ' || known.owner_from::text, format('owner_column %I of kind %s', known.owner_column, known.owner_kind))),
        format('Run: select * from tenantry.unprotect(%L); first.', target));
    end if;
  elsif owner_from is not null then
    declaration.class := 'by_parent';
    declaration.owner_from := owner_from;
    key := tenantry_private.parent_key(target, owner_from);
    if key.oid is null then
      perform tenantry_private.refuse(format('%s has no foreign key over %s', target, owner_from),
        format('Add it: alter table %s add foreign key (%s) references <parent>;', target,
          (select string_agg(quote_ident(c), ', ') from unnest(owner_from) as c)));
    end if;
    parent := tenantry_private.declared(key.confrelid);
    if parent.class is null or parent.class not in ('owned', 'by_parent') then
      perform tenantry_private.refuse(format('%s, the parent of %s, has no owners: it is %s', key.confrelid::regclass, target, coalesce(parent.class, 'not protected')),
        case parent.class when 'shared' then format('Run: select * from tenantry.unshare(%L); and then: ', key.confrelid::regclass)
                          when 'exempt' then format('Run: select tenantry.unexempt(%L); and then: ', key.confrelid::regclass)
                          else 'Protect it first: ' end
        || format('select * from tenantry.protect(%L, owner_column => ''…'', owner_kind => ''…'');', key.confrelid::regclass));
    end if;
    declaration.parent := key.confrelid;
    declaration.owner_kind := parent.owner_kind;
    declaration.owner_column := coalesce(owner_column, parent.owner_column);
    if tenantry_private.column_type(target, declaration.owner_column) is not null
       and tenantry_private.base_type(tenantry_private.column_type(target, declaration.owner_column))
           <> tenantry_private.base_type(tenantry_private.column_type(parent.relation, parent.owner_column)) then
      perform tenantry_private.refuse(
        format('%s has a column %I of another type than the owner of %s', target, declaration.owner_column, parent.relation),
        'Name a column for the owner that is free or fits: owner_column => ''…''.');
    end if;
  else
    declaration.class := 'owned';
    declaration.owner_column := owner_column;
    if owner_column is null then
      select count(*) as number, min(a.attname) as column_name, min(k.kind) as kind, string_agg(quote_ident(a.attname), ', ') as names
        into candidate
        from pg_catalog.pg_constraint c
        join tenantry.kinds k on k.relation = c.confrelid
        join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        join pg_catalog.pg_attribute i on i.attrelid = c.confrelid and i.attnum = c.confkey[1] and i.attname = k.id_column
       where c.conrelid = target and c.contype = 'f' and c.conparentid = 0 and cardinality(c.conkey) = 1
         and (owner_kind is null or k.kind = owner_kind);
      if candidate.number <> 1 then
        perform tenantry_private.refuse(
          format('%s does not say by itself who owns its rows: %s foreign key columns point at registered kinds%s', target,
            candidate.number, coalesce(' (' || candidate.names || ')', '')),
          format('Say it: select * from tenantry.protect(%L, owner_column => ''…'', owner_kind => ''…''); or owner_from => ''{…}'', or tenantry.share(%1$L), or tenantry.exempt(%1$L, ''…'').', target));
      end if;
      declaration.owner_column := candidate.column_name;
      declaration.owner_kind := candidate.kind;
    else
      declaration.owner_kind := coalesce(owner_kind, (
        select k.kind
          from tenantry.kinds k
         where k.relation = target and k.id_column = owner_column
        union all
        select k.kind
          from pg_catalog.pg_constraint c
          join tenantry.kinds k on k.relation = c.confrelid
          join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
          join pg_catalog.pg_attribute i on i.attrelid = c.confrelid and i.attnum = c.confkey[1] and i.attname = k.id_column
         where c.conrelid = target and c.contype = 'f' and cardinality(c.conkey) = 1 and a.attname = owner_column
         limit 1));
      if declaration.owner_kind is null then
        perform tenantry_private.refuse(format('no foreign key tells of which kind the owners in %s.%I are', target, owner_column),
          format('Say it: select * from tenantry.protect(%L, owner_column => %L, owner_kind => ''…'');', target, owner_column));
      end if;
    end if;
  end if;

  declaration.reach        := coalesce(reach, known.reach, true);
  declaration.shared_by    := coalesce(shared_by, known.shared_by, '{}');
  declaration.public_when  := case when public_when = '' then null else coalesce(public_when, known.public_when) end;
  declaration.actor_column := coalesce(actor_column, known.actor_column);
  perform tenantry_private.require_sharing(declaration);

  if declaration.class = 'owned' or tenantry_private.column_type(target, declaration.owner_column) is not null then
    perform tenantry_private.require_owner_column(target, declaration.owner_column, declaration.owner_kind);
  end if;
  select c into unknown
    from unnest(declaration.unchecked_references) as c
   where tenantry_private.column_type(target, c) is null
   limit 1;
  if unknown is not null then
    perform tenantry_private.refuse(format('%s has no column %I', target, unknown), 
      format('unchecked_references names columns of foreign keys. List them: select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = %L::regclass and contype = ''f'';', target));
  end if;
  return declaration;
end
$$;

comment on function tenantry_private.declaration_of(regclass, name, text, name[], name[], jsonb, text, name, boolean) is 'The declaration that a call of protect() means. Error: TN011.';

-- Written with tenantry's powers, so no domain but tenantry's own: the check of another one is code of its owner's. A column's
-- type may change later, so this is asked each time.
create function tenantry_private.require_actor_column(target regclass, column_name name)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  type constant oid := tenantry_private.column_type(target, column_name);
begin
  if type is null or type not in ('text'::regtype, 'varchar'::regtype, 'tenantry.entity'::regtype) then
    perform tenantry_private.refuse(format('%s.%I cannot hold an actor, which is a text kind:id', target, column_name),
      format(case when type is null then 'Run: alter table %s add column %I text; or name another: select * from tenantry.protect(%1$L, actor_column => ''…'');'
                  else 'Run: alter table %s alter column %I type text;' end, target, column_name));
  end if;
end
$$;

comment on function tenantry_private.require_actor_column(regclass, name) is 'Refuses a column that cannot hold an actor: one that is gone, or not text, varchar or tenantry.entity. Error: TN011.';

create function tenantry_private.require_sharing(declaration tenantry_private.tables)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  target constant regclass := declaration.relation;
  shared record;
begin
  if jsonb_typeof(declaration.shared_by) is distinct from 'object'
     or exists (select from jsonb_each(declaration.shared_by) s where jsonb_typeof(s.value) <> 'string') then
    perform tenantry_private.refuse('shared_by is an object of columns and the kinds of containers that they name',
      format('Write it as: select * from tenantry.protect(%L, shared_by => ''{"room_id": "room"}'');', target));
  end if;
  for shared in
    select s.key as column_name, s.value as kind, tenantry_private.column_type(target, s.key) as type, k.id_type
      from jsonb_each_text(declaration.shared_by) s
      left join tenantry.kinds k on k.kind = s.value
     order by s.key
  loop
    if shared.type is null then
      perform tenantry_private.refuse(format('%s has no column %I', target, shared.column_name), 'shared_by names columns that hold the id of a container.');
    end if;
    perform tenantry_private.require_kind(shared.kind);
    if tenantry_private.id_cast(shared.type) is null
       or tenantry_private.id_cast(shared.type) <> 'text' and (tenantry_private.id_cast(shared.type) = 'uuid') <> (shared.id_type = 'uuid') then
      perform tenantry_private.refuse(
        format('%s.%I is of type %s, but ids of kind %s are of type %s', target, shared.column_name, format_type(shared.type, null), shared.kind, shared.id_type),
        'Name the column that holds the container''s id.');
    end if;
  end loop;
  if declaration.public_when is not null then
    perform tenantry_private.require_expression(declaration.public_when);
  end if;
  if declaration.actor_column is not null then
    perform tenantry_private.require_actor_column(target, declaration.actor_column);
  end if;
end
$$;

comment on function tenantry_private.require_sharing(tenantry_private.tables) is 'Refuses containers, public rows and actor columns that cannot be. Error: TN011.';

create function tenantry_private.require_owned_rows(declaration tenantry_private.tables)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  without_owner bigint;
  orphaned      text;
  key           constant pg_catalog.pg_constraint := tenantry_private.parent_key(declaration.relation, declaration.owner_from);
  missing       text;
begin
  if row_security_active(declaration.relation) then
    return;
  end if;
  -- Only a key that was never validated lets rows point at nothing.
  if key.oid is not null and not key.convalidated then
    if row_security_active(declaration.parent) then
      perform tenantry_private.refuse(
        format('foreign key %I of %s was never validated, and %I, bound by row-level security, cannot see whether its rows have parents', key.conname, declaration.relation, current_user),
        format('A superuser runs: alter table %s validate constraint %I;', declaration.relation, key.conname));
    end if;
    missing := format('(%s) is not null and not exists (select from %s p where (%s) = (%s))',
      tenantry_private.column_list(declaration.relation, key.conkey, 'c.'), declaration.parent,
      tenantry_private.column_list(declaration.parent, key.confkey, 'p.'), tenantry_private.column_list(declaration.relation, key.conkey, 'c.'));
    execute format('select count(*) from %s c where %s', declaration.relation, missing) into without_owner;
    if without_owner > 0 then
      perform tenantry_private.refuse(
        format('%s rows of %s point at rows of %s that are missing', without_owner, declaration.relation, declaration.parent),
        format('Give them a parent, or let them go. Run: delete from %s c where %s;', declaration.relation, missing));
    end if;
  end if;
  if tenantry_private.column_type(declaration.relation, declaration.owner_column) is null then
    orphaned := (select string_agg(format('%I is null', c), ' or ') from unnest(declaration.owner_from) as c);
    execute format('select count(*) from %s where %s', declaration.relation, orphaned) into without_owner;
    if without_owner > 0 then
      perform tenantry_private.refuse(
        format('%s rows of %s have no parent to take an owner from (%s)', without_owner, declaration.relation, orphaned),
        format('Add the column and give those rows an owner: alter table %s add column %I %s; then protect it again.', declaration.relation, declaration.owner_column,
          format_type(tenantry_private.column_type(declaration.parent, (tenantry_private.declared(declaration.parent)).owner_column), null)));
    end if;
    return;
  end if;
  -- Rows with a parent get its owner; the others must have one.
  if declaration.class = 'by_parent' then
    orphaned := (select string_agg(format('%I is null', c), ' or ') from unnest(declaration.owner_from) as c);
    execute format('select count(*) from %s where %I is null and (%s)', declaration.relation, declaration.owner_column, orphaned) into without_owner;
    if without_owner > 0 then
      perform tenantry_private.refuse(
        format('%s rows of %s have neither an owner nor a parent to take it from', without_owner, declaration.relation),
        format('Give them one: update %s set %I = … where %2$I is null; then protect it again.', declaration.relation, declaration.owner_column));
    end if;
    return;
  end if;
  execute format('select count(*) from %s where %I is null', declaration.relation, declaration.owner_column) into without_owner;
  if without_owner > 0 then
    perform tenantry_private.refuse(
      format('%s rows of %s have no owner (%I is null)', without_owner, declaration.relation, declaration.owner_column),
      format('Give them one: update %s set %I = … where %2$I is null; then protect it again.', declaration.relation, declaration.owner_column));
  end if;
end
$$;

comment on function tenantry_private.require_owned_rows(tenantry_private.tables) is 'Refuses a table with rows that nobody owns. Error: TN011.';

create function tenantry_private.table_before(target regclass, owner_column name)
returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select jsonb_build_object('row_security', c.relrowsecurity, 'force_row_security', c.relforcerowsecurity,
           'owner_nullable', not coalesce(a.attnotnull, false), 'owner_added', a.attnum is null,
           'owner_default', pg_get_expr(d.adbin, d.adrelid))
    from pg_catalog.pg_class c
    left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = owner_column and not a.attisdropped
    left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
   where c.oid = target);

comment on function tenantry_private.table_before(regclass, name) is 'What a table was like before it was protected: row security, owner default, nullability.';

-- As for plan_table(), plans are made once: each of the statements carried out is judged by an event trigger.
create function tenantry.protect(
  target               regclass,
  owner_column         name    default null,
  owner_kind           text    default null,
  owner_from           name[]  default null,
  unchecked_references name[]  default null,
  dry_run              boolean default false,
  shared_by            jsonb   default null,
  public_when          text    default null,
  actor_column         name    default null,
  reach                boolean default null
)
returns table (step integer, statement text, lock text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_variable
declare
  declaration tenantry_private.tables;
  statements  text[];
  locks       text[];
  related     regclass;
  last        integer := 0;
begin
  perform tenantry_private.require_own_table(target, 'protect');
  if (tenantry_private.rollout(target)).state <> 'strict' then
    perform tenantry_private.refuse(format('a rollout of %s is under way: %s', target, (tenantry_private.rollout(target)).state),
      format('Go on with it: call tenantry.rollout_to(%L, ''strict''); or go back: call tenantry.rollout_to(%1$L, ''planned''); select tenantry.rollout_end(%1$L);', target));
  end if;
  declaration := tenantry_private.declaration_of(target, owner_column, owner_kind, owner_from, unchecked_references, shared_by, public_when, actor_column, reach);
  perform tenantry_private.require_owned_rows(declaration);
  if declaration.declared_at is null then
    declaration.before := tenantry_private.table_before(target, declaration.owner_column);
  end if;

  select array_agg(p.statement), array_agg(p.lock) into statements, locks from tenantry_private.plan_table(declaration) p;
  perform tenantry_private.require_one_owner(declaration, statements);
  for step, statement, lock in select * from tenantry_private.carry_out(statements, locks, 0, dry_run) loop
    last := step;
    return next;
  end loop;
  if not dry_run then
    perform tenantry_private.record_table(declaration);
    if statements is not null or declaration.expressions is null or declaration.expressions = '{}' then
      perform tenantry_private.confirm_table(target);
    end if;
  end if;
  for related in select target union all select * from tenantry_private.referencing_tables(target) loop
    select array_agg(p.statement), array_agg(p.lock)
      into statements, locks
      from tenantry_private.plan_triggers(case when related = target then declaration else tenantry_private.declared(related) end, declaration) p;
    for step, statement, lock in select * from tenantry_private.carry_out(statements, locks, last, dry_run) loop
      last := step;
      return next;
    end loop;
  end loop;
end
$$;

comment on function tenantry.protect(regclass, name, text, name[], name[], boolean, jsonb, text, name, boolean) is
  'Isolates a table: its rows are seen and written only by the entity that owns them. owner_column, owner_kind: who owns a row; guessed from the only foreign key to a registered kind. owner_from: columns of a foreign key to a protected parent, whose owner the row inherits; the owner column is added where it is missing. unchecked_references: foreign key columns that may point at rows of others. shared_by: columns that name a container, with its kind, {"room_id": "room"}: its members share the row on the reach path. public_when: an immutable expression over the row; whoever has a context, the anonymous one included, reads such rows on the reach path; an empty text takes it back. actor_column: a text column that records who inserted a row. reach: whether reach.<table> is made, default true. Returns the statements carried out with their locks; dry_run only shows them. A second call changes what it names of the last four, and nothing else; a failure leaves the table as it was. Errors: 42501, TN011.';
