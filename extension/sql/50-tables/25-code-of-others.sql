-- Who writes a row runs what the table's owner has attached to it: CHECK constraints, generated columns, rules, expressions
-- of indexes and partition keys. SET ROLE does not tame that, because the code may RESET it. So before a superuser fills
-- owners it is asked whether anything there leads to a function that is not a superuser's own.
create function tenantry_private.code_of_others(target regclass)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with recursive tree (oid) as (
      select target::oid
      union
      select i.inhrelid from tree join pg_catalog.pg_inherits i on i.inhparent = tree.oid),
    attached (class, oid) as (
      select 'pg_class'::regclass, tree.oid from tree
      union all
      select 'pg_class'::regclass, i.indexrelid from tree join pg_catalog.pg_index i on i.indrelid = tree.oid
      union all
      select 'pg_constraint'::regclass, c.oid from tree join pg_catalog.pg_constraint c on c.conrelid = tree.oid
      union all
      select 'pg_attrdef'::regclass, d.oid
        from tree
        join pg_catalog.pg_attrdef d on d.adrelid = tree.oid
        join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum and a.attgenerated <> ''
      union all
      select 'pg_type'::regclass, a.atttypid
        from tree join pg_catalog.pg_attribute a on a.attrelid = tree.oid and a.attnum > 0 and not a.attisdropped
      union all
      select 'pg_constraint'::regclass, c.oid
        from tree
        join pg_catalog.pg_attribute a on a.attrelid = tree.oid and a.attnum > 0 and not a.attisdropped
        join pg_catalog.pg_constraint c on c.contypid = a.atttypid),
    called (oid) as (
      select d.refobjid
        from attached
        join pg_catalog.pg_depend d on d.classid = attached.class and d.objid = attached.oid and d.refclassid = 'pg_proc'::regclass
      union
      select o.oprcode
        from attached
        join pg_catalog.pg_depend d on d.classid = attached.class and d.objid = attached.oid and d.refclassid = 'pg_operator'::regclass
        join pg_catalog.pg_operator o on o.oid = d.refobjid)
    select string_agg(what, ', ' order by what)
      from (select format('function %s', p.oid::regprocedure) as what
              from called
              join pg_catalog.pg_proc p on p.oid = called.oid
              join pg_catalog.pg_roles r on r.oid = p.proowner
             where not r.rolsuper
            union all
            select format('rule %I on %s', w.rulename, w.ev_class::regclass)
              from tree join pg_catalog.pg_rewrite w on w.ev_class = tree.oid) as code);
end
$$;

comment on function tenantry_private.code_of_others(regclass) is
  'Functions and rules of others that run when somebody updates a table, its own triggers aside; null if there are none.';
