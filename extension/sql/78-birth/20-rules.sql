create function tenantry_private.record_rule(rule tenantry_private.birth_rules, wanted boolean)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
declare
  was_there boolean;
begin
  perform tenantry_private.require_admin('manage schemas');
  delete from tenantry_private.birth_rules r where r.schema_name = rule.schema_name and r.pattern = rule.pattern;
  was_there := found;
  if wanted then
    insert into tenantry_private.birth_rules select rule.*;
  end if;
  perform tenantry_private.note(case when wanted then 'register_rule' else 'unregister_rule' end, rule.schema_name,
    jsonb_strip_nulls(to_jsonb(rule) - 'schema_name'));
  return was_there;
end
$$;

comment on function tenantry_private.record_rule(tenantry_private.birth_rules, boolean) is 'The definer half of register_rule() and unregister_rule(); returns whether the rule was there.';

create function tenantry.register_rule(target name, pattern text, owner_column name default null, owner_kind text default null, owner_from name[] default null)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  rule tenantry_private.birth_rules;
begin
  perform tenantry_private.require_admin('manage schemas');
  if not exists (select from tenantry.schemas s where s.schema_name = target) then
    perform tenantry_private.refuse(format('%s is not managed', coalesce(quote_ident(target), 'null')),
      format('Run: select * from tenantry.manage_schema(%L);', coalesce(target, '<schema>')));
  end if;
  if coalesce(pattern, '') = '' then
    perform tenantry_private.refuse('a rule needs a pattern', 'Say what the names of its tables are like: ''%\_notes''.');
  end if;
  if (owner_from is null) = (owner_kind is null) or owner_from is null and owner_column is null or cardinality(owner_from) = 0 then
    perform tenantry_private.refuse('a rule says whose the rows are: by owner_column and owner_kind, or by owner_from',
      format('Run: select tenantry.register_rule(%L, %L, owner_column => ''…'', owner_kind => ''…''); or owner_from => ''{…}''.', target, pattern));
  end if;
  if owner_kind is not null then
    perform tenantry_private.require_kind(owner_kind);
  end if;
  rule.schema_name  := target;
  rule.pattern      := pattern;
  rule.owner_column := owner_column;
  rule.owner_kind   := owner_kind;
  rule.owner_from   := owner_from;
  perform tenantry_private.record_rule(rule, true);
  perform tenantry_private.open_schema(target);
end
$$;

comment on function tenantry.register_rule(name, text, name, text, name[]) is
  'Says how new tables of a managed schema are protected whose names are like a pattern (LIKE). owner_column, owner_kind, owner_from: as for protect(). Rules come before the schema''s owner_column; where several match, the table is closed. A second call changes the rule. Errors: 42501, TN011.';

create function tenantry.unregister_rule(target name, pattern text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  rule tenantry_private.birth_rules;
begin
  rule.schema_name := target;
  rule.pattern     := pattern;
  if not tenantry_private.record_rule(rule, false) then
    perform tenantry_private.refuse(format('%s has no rule %s', coalesce(quote_ident(target), 'null'), coalesce(quote_literal(pattern), 'null')), 'List them: select * from tenantry.rules;');
  end if;
end
$$;

comment on function tenantry.unregister_rule(name, text) is 'Takes register_rule() back. Tables that it protected stay protected. Errors: 42501, TN011.';
