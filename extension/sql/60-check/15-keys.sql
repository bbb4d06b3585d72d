-- Keys that reach across owners: what they tell and what they take along. All of it is as the application declared it, and
-- often meant: a name of a login is one of its kind for everybody.
create function tenantry_private.across_key_findings()
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
begin
  -- The primary key names the row and stays; nobody guesses a uuid; a kind's own columns say who somebody is.
  for item in
    select t.relation, t.owner_column, i.indexrelid::regclass as index_name, x.relname, u.conname,
           string_agg(quote_ident(a.attname), ', ' order by k.position) as columns,
           exists (select from pg_catalog.pg_constraint f where f.contype = 'f' and f.conindid = i.indexrelid) as referred
      from tenantry.tables t
      join pg_catalog.pg_index i on i.indrelid = t.relation and i.indisunique and not i.indisprimary and i.indisvalid
                                and i.indexprs is null and i.indpred is null
      join pg_catalog.pg_class x on x.oid = i.indexrelid
     cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, position)
      join pg_catalog.pg_attribute a on a.attrelid = t.relation and a.attnum = k.attnum
      left join pg_catalog.pg_constraint u on u.conindid = i.indexrelid and u.contype = 'u'
     where t.class in ('owned', 'by_parent') and k.position <= i.indnkeyatts
     group by t.relation, t.owner_column, i.indexrelid, x.relname, u.conname
    having not bool_or(a.attname = t.owner_column) and not bool_or(a.atttypid = 'uuid'::regtype)
     order by t.relation::text, x.relname
  loop
    severity := 'info'; code := 'unique_across_owners'; object := item.relation;
    problem := format('%s is unique in (%s) among the rows of every owner: whoever writes a value learns that somebody else has it%s',
      item.relname, item.columns, case when item.referred then ', and foreign keys stand on it' else '' end);
    fix := case when item.conname is not null
      then format('alter table %s drop constraint %I, add constraint %2$I unique (%I, %s);', item.relation, item.conname, item.owner_column, item.columns)
      else format('drop index %s; create unique index %I on %s (%I, %s);', item.index_name, item.relname, item.relation, item.owner_column, item.columns) end;
    return next;
  end loop;

  -- Checked references and keys that carry the owner point at one's own rows; those that were declared unchecked may not.
  for item in
    select t.relation, f.conname, parent.relation as parent, t.owner_kind = parent.owner_kind as alike, t.owner_column, parent.owner_column as parent_owner,
           case f.confdeltype when 'c' then 'are deleted' else 'lose what they point at' end as becomes,
           case f.confdeltype when 'c' then 'cascade'
                else format('set %s (%s)', case f.confdeltype when 'n' then 'null' else 'default' end, tenantry_private.column_list(f.conrelid, f.conkey)) end as action,
           exists (
             select
               from pg_catalog.pg_index i
              where i.indrelid = f.confrelid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
                and i.indnkeyatts = cardinality(f.confkey) + 1
                and (i.indkey::smallint[])[0:i.indnkeyatts - 1] @> (f.confkey || tenantry_private.column_number(f.confrelid, parent.owner_column))) as keyed,
           tenantry_private.column_list(f.conrelid, f.conkey) as columns, tenantry_private.column_list(f.confrelid, f.confkey) as parent_columns,
           tenantry_private.column_list(f.conrelid, f.conkey, 'c.') as own, tenantry_private.column_list(f.confrelid, f.confkey, 'p.') as theirs
      from tenantry.tables t
      join pg_catalog.pg_constraint f on f.conrelid = t.relation and f.contype = 'f' and f.conparentid = 0 and f.confdeltype in ('c', 'n', 'd')
      join tenantry.tables parent on parent.relation = f.confrelid and parent.class in ('owned', 'by_parent')
     where t.class in ('owned', 'by_parent') and t.unchecked_references <> '{}'
       and (select array_agg(a.attname) from pg_catalog.pg_attribute a where a.attrelid = f.conrelid and a.attnum = any (f.conkey)) <@ t.unchecked_references
     order by t.relation::text, f.conname
  loop
    severity := 'info'; code := 'cascade_across_owners'; object := item.relation;
    problem := format('rows of others %s when somebody deletes a row of %s (%I)%s', item.becomes, item.parent, item.conname,
      case when item.alike then format('; those that cross owners now: select c.* from %s c join %s p on (%s) = (%s) where c.%I <> p.%I',
                                  item.relation, item.parent, item.theirs, item.own, item.owner_column, item.parent_owner) else '' end);
    -- With the owner in the key only one's own rows can point there, and go along.
    fix := case when item.alike
      then case when item.keyed then '' else format('create unique index on %s (%s, %I); ', item.parent, item.parent_columns, item.parent_owner) end
           || format('alter table %s drop constraint %I, add constraint %2$I foreign key (%3$s, %4$I) references %5$s (%6$s, %7$I) on delete %8$s;',
                item.relation, item.conname, item.columns, item.owner_column, item.parent, item.parent_columns, item.parent_owner, item.action)
      else format('alter table %s drop constraint %I, add constraint %2$I foreign key (%s) references %s (%s);',
             item.relation, item.conname, item.columns, item.parent, item.parent_columns) end;
    return next;
  end loop;
end
$$;

comment on function tenantry_private.across_key_findings() is 'Findings unique_across_owners, cascade_across_owners.';
