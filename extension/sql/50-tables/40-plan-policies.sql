create function tenantry_private.role_tag(role_name name)
returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return left(encode(sha256(convert_to(role_name, 'UTF8')), 'hex'), 8);

comment on function tenantry_private.role_tag(name) is 'What stands for a role in the name of a policy, whatever its own name is.';

create function tenantry_private.policy_statement(target regclass, policy name, permissive boolean, command text, roles name[], using_text text, check_text text)
returns text
language sql stable
set search_path = pg_catalog, pg_temp
return format('create policy %I on %s as %s for %s to %s%s%s', policy, target, case when permissive then 'permissive' else 'restrictive' end, command,
  (select string_agg(case when r.name = 'public' then 'public' else quote_ident(r.name) end, ', ' order by r.position) from unnest(roles) with ordinality as r (name, position)),
  ' using (' || using_text || ')', ' with check (' || check_text || ')');

comment on function tenantry_private.policy_statement(regclass, name, boolean, text, name[], text, text) is 'The statement that makes a policy.';

-- Policies per command, each permissive with a RESTRICTIVE twin of the same expression: the application's own
-- restrictive policies compose, and a permissive one that somebody adds cannot open the table. TO one stable group,
-- never PUBLIC, so that other paths keep plans of their own.
create function tenantry_private.wanted_policies(declaration tenantry_private.tables)
returns table (policy name, command text, permissive boolean, to_role name, using_text text, check_text text)
language plpgsql stable rows 20
set search_path = pg_catalog, pg_temp
as $$
declare
  type constant oid := coalesce(
    tenantry_private.column_type(declaration.relation, declaration.owner_column),
    tenantry_private.column_type(declaration.parent, (tenantry_private.declared(declaration.parent)).owner_column));
  cast_to    constant text := tenantry_private.id_cast(type);
  in_transition constant boolean := tenantry_private.in_transition(declaration.relation);
  commands   constant text[] := array['select', 'insert', 'update', 'delete'];
  rule       record;
  conditions text[];
  migration  name;
begin
  -- The owner of the decrypting view has policies of its own, which leave the plans of tenantry_user alone.
  foreach to_role in array array['tenantry_user', 'tenantry_facade', 'tenantry_reach'] loop
    continue when to_role = 'tenantry_facade' and not exists (select from tenantry_private.encrypted(declaration.relation))
               or to_role = 'tenantry_reach' and declaration.reach is not true;
    conditions := '{}';
    foreach command in array commands loop
      conditions := conditions || case to_role
        when 'tenantry_reach' then tenantry_private.reach_condition(declaration, command, cast_to)
        else format('%I = (select tenantry.principal(%L, %L)::%s)', declaration.owner_column, declaration.owner_kind, command, cast_to)
      end;
    end loop;
    foreach permissive in array array[true, false] loop
      -- The floors would bind legacy roles, too, where they are members of tenantry_user.
      continue when not permissive and in_transition and to_role = 'tenantry_user' and exists (
        select from unnest((tenantry_private.rollout(declaration.relation)).legacy_roles) as l (role_name)
         where pg_has_role(l.role_name, 'tenantry_user', 'member'));
      for at in 1 .. cardinality(commands) loop
        command    := commands[at];
        policy     := case to_role when 'tenantry_user' then 'tenantry_' else to_role || '_' end || command || case when permissive then '' else '_floor' end;
        using_text := case when command <> 'insert' then conditions[at] end;
        check_text := case when command in ('insert', 'update') then conditions[at] end;
        return next;
      end loop;
    end loop;
  end loop;

  if tenantry_private.engine_works_on(declaration.relation) then
    policy     := 'tenantry_engine';
    command    := 'all';
    permissive := true;
    to_role    := 'tenantry_engine';
    using_text := 'true';
    check_text := 'true';
    return next;
  end if;

  for rule in
    select g.role_name, g.command, tenantry_private.role_tag(g.role_name) as tag
      from tenantry.granted_across g
     where g.relation = declaration.relation
     order by g.role_name
  loop
    policy     := 'tenantry_across_' || rule.tag;
    command    := rule.command;
    permissive := true;
    to_role    := rule.role_name;
    using_text := case when rule.command <> 'insert' then 'true' end;
    check_text := case when rule.command not in ('select', 'delete') then 'true' end;
    return next;
  end loop;

  if in_transition then
    for rule in
      select r.role_name, tenantry_private.role_tag(r.role_name) as tag
        from unnest((tenantry_private.rollout(declaration.relation)).legacy_roles) as r (role_name)
       order by r.role_name
    loop
      policy     := 'tenantry_legacy_' || rule.tag;
      command    := 'all';
      permissive := true;
      to_role    := rule.role_name;
      using_text := '(select tenantry_private.is_without_context())';
      check_text := using_text;
      return next;
    end loop;
  end if;

  -- Made for those whom allow() has named; until somebody breaks the glass they let nobody through, whatever else does.
  if exists (select from tenantry_private.allowed_logins() a where a.granted_as = 'maintenance') then
    foreach permissive in array array[true, false] loop
      policy     := 'tenantry_maintenance' || case when permissive then '' else '_floor' end;
      command    := 'all';
      to_role    := 'tenantry_maintenance';
      using_text := '(select tenantry.glass_is_broken())';
      check_text := using_text;
      return next;
    end loop;
  end if;

  select s.migration_role
    into migration
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join tenantry.schemas s on s.schema_name = n.nspname
   where c.oid = declaration.relation;
  if migration is not null then
    policy     := 'tenantry_migration';
    command    := 'all';
    permissive := true;
    to_role    := migration;
    using_text := 'true';
    check_text := 'true';
    return next;
  end if;
end
$$;

comment on function tenantry_private.wanted_policies(tenantry_private.tables) is 'The policies that a declared table must have.';

-- An expression of the application's that becomes part of statements of ours, which others may run later (sync()): nothing in
-- it may end the statement or the parentheses around it.
create function tenantry_private.require_expression(expression text)
returns void
language plpgsql immutable
as $$
declare
  bare  constant text := regexp_replace(expression, E'\'[^\']*\'|"[^"]*"', '', 'g');
  depth integer := 0;
begin
  for at in 1 .. length(bare) loop
    depth := depth + case substr(bare, at, 1) when '(' then 1 when ')' then -1 else 0 end;
    exit when depth < 0;
  end loop;
  if btrim(expression) = '' or depth <> 0 or bare ~ E'[;\'"$]|--|/\\*' or strpos(expression, E'\\') > 0 then
    perform tenantry_private.refuse(format('this is not one expression: %s', expression),
      'Write a condition over the row''s columns, without comments, semicolons, dollar quotes and backslashes: public_when => ''is_public''.');
  end if;
end
$$;

comment on function tenantry_private.require_expression(text) is 'Refuses text that could be more than an expression. Error: TN011.';

-- Arrays, computed once per statement, and index conditions. The planner takes any array for ten elements and, asked for
-- the latest rows, would rather read a whole index in that order and filter it: seconds, where what is reached takes
-- milliseconds. A second condition that always holds makes it expect few rows, and so look them up: measured, see
-- test/bench. An insert names its owner; the containers of what is written are asked for by a trigger, on every path.
create function tenantry_private.reach_condition(declaration tenantry_private.tables, command text, cast_to text)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  condition text := format('%I = any ((select tenantry_private.reach_of(%L, %L, %L)::%s[])::%5$s[])', declaration.owner_column, declaration.owner_kind,
                      command, declaration.tag, cast_to);
  shared    record;
begin
  if command = 'insert' then
    return condition;
  end if;
  for shared in select s.key as column_name, s.value as kind from jsonb_each_text(declaration.shared_by) s order by s.key loop
    condition := condition || format(' or %I = any ((select tenantry_private.reach_of(%L, %L, %L)::%s[])::%5$s[])', shared.column_name, shared.kind,
      command, declaration.tag, tenantry_private.id_cast(tenantry_private.column_type(declaration.relation, shared.column_name)));
  end loop;
  if command = 'select' and declaration.public_when is not null then
    perform tenantry_private.require_expression(declaration.public_when);
    condition := condition || format(' or (select tenantry.entered()) and (%s)', declaration.public_when);
  end if;
  return format('(%s) and %I = any (array[%2$I])', condition, declaration.owner_column);
end
$$;

comment on function tenantry_private.reach_condition(tenantry_private.tables, text, text) is 'What the policies of the reach path ask.';

create function tenantry_private.actual_policies(target regclass)
returns table (policy name, command text, permissive boolean, to_roles name[], using_printed text, check_printed text)
language plpgsql stable rows 20
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select p.polname,
         case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
         p.polpermissive,
         case when cardinality(p.polroles) = 1 and p.polroles[1] <> 0 then array[pg_get_userbyid(p.polroles[1])]
              else array(select case role_oid when 0 then 'public' else pg_get_userbyid(role_oid) end::name from unnest(p.polroles) as role_oid order by 1) end,
         pg_get_expr(p.polqual, p.polrelid),
         pg_get_expr(p.polwithcheck, p.polrelid)
    from pg_catalog.pg_policy p
   where p.polrelid = target;
end
$$;

comment on function tenantry_private.actual_policies(regclass) is 'The policies of a table, their expressions as PostgreSQL prints them with nothing but pg_catalog in the search_path.';

create function tenantry_private.plan_policies(declaration tenantry_private.tables)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  target   constant regclass := declaration.relation;
  -- what is stored out of line is fetched once, not for each policy
  recorded constant jsonb := declaration.expressions || '{}';
  wanted   record;
begin
  lock := 'ACCESS EXCLUSIVE';
  -- Missing, not as it was made, or not what it would be made of now; and behind them what nobody wants any more. Printed
  -- expressions are compared, never executed.
  for wanted in
    select w.*, a.policy as found
      from tenantry_private.wanted_policies(declaration) with ordinality as w (policy, command, permissive, to_role, using_text, check_text, position)
      full join tenantry_private.actual_policies(target) a on a.policy = w.policy
     where case when w.policy is null then a.policy like 'tenantry\_%'
                else a.policy is null
                  or (a.command, a.permissive, a.to_roles) is distinct from (w.command, w.permissive, array[w.to_role])
                  or (recorded -> w.policy::text) is distinct from jsonb_build_array(a.using_printed, a.check_printed, w.using_text, w.check_text) end
     order by w.position, a.policy
  loop
    if wanted.found is not null then
      statement := format('drop policy %I on %s', wanted.found, target);
      return next;
    end if;
    continue when wanted.policy is null;
    statement := tenantry_private.policy_statement(target, wanted.policy, wanted.permissive, wanted.command, array[wanted.to_role], wanted.using_text, wanted.check_text);
    return next;
  end loop;
end
$$;

comment on function tenantry_private.plan_policies(tenantry_private.tables) is 'Statements that bring a table''s policies in line with its declaration.';

create function tenantry_private.plan_row_security(target regclass)
returns table (statement text, lock text)
language plpgsql stable rows 5
set search_path = pg_catalog, pg_temp
as $$
declare
  relation record;
begin
  lock := 'ACCESS EXCLUSIVE';
  -- The table, then its partitions and inheritance children. Those get no policy: a query through the parent is bound by
  -- the parent's policies, and nobody needs another way in.
  for relation in
    select tree.relation as name, c.relrowsecurity, c.relforcerowsecurity
      from tenantry_private.relation_tree(target) tree
      join pg_catalog.pg_class c on c.oid = tree.relation
     where not (c.relrowsecurity and c.relforcerowsecurity)
     order by tree.depth, c.relname
  loop
    if not relation.relrowsecurity then
      statement := format('alter table %s enable row level security', relation.name);
      return next;
    end if;
    if not relation.relforcerowsecurity and not tenantry_private.in_transition(target) then
      statement := format('alter table %s force row level security', relation.name);
      return next;
    end if;
  end loop;
end
$$;

comment on function tenantry_private.plan_row_security(regclass) is 'Statements that enable and force row-level security on a table and everything below it.';
