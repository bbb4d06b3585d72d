import { columns } from './columns.js'
import { check, foreignKeys, key } from './constraints.js'
import { indexes } from './indexes.js'
import { policies, triggers } from './triggers.js'

const parents = (partition: boolean): string => `
  from pg_inherits as h
  join pg_class as hc on hc.oid = h.inhparent
  join pg_namespace as hn on hn.oid = hc.relnamespace
  where h.inhrelid = c.oid and ${partition ? '' : 'not '}c.relispartition`

const tablePrivilege = (name: string): string =>
  `'${name.toLowerCase()}', has_table_privilege($2::text, c.oid, '${name}')`

/** Every relation of the application, complete. */
export const relations = `
  select coalesce(json_agg(json_build_object(
    'schema',           c.nspname,
    'name',             c.relname,
    'kind',             case c.relkind when 'r' then 'table' when 'p' then 'partitioned'
                                       when 'v' then 'view' when 'm' then 'materialized view'
                                       else 'foreign table' end,
    'owner',            pg_get_userbyid(c.relowner),
    'comment',          obj_description(c.oid, 'pg_class'),
    'persistence',      case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary'
                                              else 'permanent' end,
    'rowSecurity',      c.relrowsecurity,
    'forceRowSecurity', c.relforcerowsecurity,
    'partitionOf',      (select json_build_object('schema', hn.nspname, 'name', hc.relname)
                         ${parents(true)}),
    'partitionKey',     pg_get_partkeydef(c.oid),
    'inherits',         (select coalesce(json_agg(json_build_object(
                                  'schema', hn.nspname, 'name', hc.relname)
                                order by h.inhseqno), '[]')
                         ${parents(false)}),
    'estimatedRows',    case when $3::boolean then c.reltuples::float8 end,
    'columns',          (${columns}),
    'primaryKey',       (select ${key} from pg_constraint as k
                         where k.conrelid = c.oid and k.contype = 'p'),
    'uniques',          (select coalesce(json_agg(${key} order by k.conname), '[]')
                         from pg_constraint as k
                         where k.conrelid = c.oid and k.contype = 'u'),
    'foreignKeys',      (${foreignKeys}),
    'checks',           (${check('c')}),
    'exclusions',       (${check('x')}),
    'indexes',          (${indexes}),
    'triggers',         (${triggers}),
    'policies',         (${policies}),
    'privileges',       case when $2::text is not null then json_build_object(
                          ${[
                            'SELECT',
                            'INSERT',
                            'UPDATE',
                            'DELETE',
                            'TRUNCATE',
                            'REFERENCES',
                            'TRIGGER',
                          ]
                            .map(tablePrivilege)
                            .join(',\n                          ')}) end
  ) order by c.nspname, c.relname), '[]')
  from app_relations as c`
