import { columnNames } from './constraints.js'

/** The indexes of relation `c`, those of constraints included. */
export const indexes = `
  select coalesce(json_agg(json_build_object(
    'name',             ic.relname,
    'method',           am.amname,
    'unique',           i.indisunique,
    'primary',          i.indisprimary,
    'valid',            i.indisvalid,
    'nullsNotDistinct', i.indnullsnotdistinct,
    'columns',          ${columnNames('c.oid', '(i.indkey::int2[])[0:i.indnkeyatts - 1]')},
    'include',          ${columnNames('c.oid', '(i.indkey::int2[])[i.indnkeyatts:]')},
    'predicate',        pg_get_expr(i.indpred, i.indrelid),
    'constraint',       (select k.conname from pg_constraint as k
                         where k.conindid = i.indexrelid and k.conrelid = c.oid
                           and k.contype in ('p', 'u', 'x')),
    'definition',       pg_get_indexdef(i.indexrelid)
  ) order by ic.relname), '[]')
  from pg_index as i
  join pg_class as ic on ic.oid = i.indexrelid
  join pg_am as am on am.oid = ic.relam
  where i.indrelid = c.oid`
