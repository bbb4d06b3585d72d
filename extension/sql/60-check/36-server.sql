-- What isolation stands on in the server itself. The fixes are data: a new one is a row here and needs nothing else.
-- Versions and texts: https://www.postgresql.org/support/security/<CVE>/ and, for 15, the release notes in Debian's changelog
-- of postgresql-15. CVE-2026-120154 was tried on 15.18 and 18.4 and gives whole values of rows of others away; see
-- test/extension/check-server.test.ts. 18.5 was never released. PostgreSQL 18 and 19 began with whatever is not listed for them.
create function tenantry_private.server_fixes()
returns table (cve text, severity text, fixed_in text[], problem text)
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  values
    -- https://www.suse.com/security/cve/CVE-2026-120154.html
    ('CVE-2026-120154', 'critical', '{15.20,16.16,17.12,18.7}'::text[],
     'whoever may insert and update reads rows of others by their keys, through INSERT … ON CONFLICT DO UPDATE … WHERE'),
    -- Policies of tenantry's hang on no membership that changes in use; a login that had BYPASSRLS goes on by the plans it has.
    ('CVE-2026-14666', 'info', '{15.19,16.15,17.11,18.6}',
     'plans that a session has already made outlive a change of its role, such as BYPASSRLS taken away'),
    -- tenantry brings pgcrypto into the database. It calls none of these functions, but others may.
    ('CVE-2026-2005', 'critical', '{15.16,16.12,17.8,18.2}',
     'whoever calls a decrypting PGP function of pgcrypto runs code of theirs as the server'),
    -- Needs an operator or function of the attacker's own, which schema_create and database_create keep away.
    ('CVE-2025-8713', 'warning', '{15.14,16.10,17.6}',
     'statistics give values away of rows in partitions that row-level security hides'),
    -- The views of tenant and reach read one table by other policies in one session.
    ('CVE-2024-10976', 'critical', '{15.9,16.5,17.1}',
     'a plan made for one role may be used for another where the table is read in a subquery, WITH or view, with the wrong policies'),
    ('CVE-2024-10978', 'warning', '{15.9,16.5,17.1}',
     'SET ROLE may be lost on rollback, so that a session goes on as somebody else'),
    ('CVE-2024-4317', 'warning', '{15.7,16.3}',
     'extended statistics show values of rows of others; a cluster that is older needs fix-CVE-2024-4317.sql, too'),
    ('CVE-2023-39418', 'critical', '{15.4}',
     'MERGE updates rows by the policies for INSERT'),
    ('CVE-2023-2455', 'critical', '{15.3}',
     'a plan made for one role may be used for another where a function is inlined, with the wrong policies'),
    ('CVE-2023-2454', 'warning', '{15.3}',
     'whoever may create schemas takes over functions that run as their owner, whatever their search_path');
end;

comment on function tenantry_private.server_fixes() is 'Security fixes of PostgreSQL that isolation stands on, and the first minor version of each major one that has them.';

create function tenantry_private.missing_fixes(server_version integer)
returns table (cve text, severity text, fixed_in text, problem text)
language sql immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select f.cve, f.severity, v.version, f.problem
    from tenantry_private.server_fixes() f
   cross join unnest(f.fixed_in) as v (version)
   where split_part(v.version, '.', 1)::integer = server_version / 10000
     and split_part(v.version, '.', 2)::integer > server_version % 10000
   order by array_position(array['critical', 'warning', 'info'], f.severity), split_part(v.version, '.', 2)::integer desc, f.cve;
end;

comment on function tenantry_private.missing_fixes(integer) is 'What a server of a version (as in server_version_num) lacks.';

create function tenantry_private.server_findings(server_version integer default current_setting('server_version_num')::integer)
returns table (severity text, code text, object text, problem text, fix text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  version  constant text := format('%s.%s', server_version / 10000, server_version % 10000);
  accepted constant text := tenantry_private.accepted_server();
  lacking  record;
begin
  select (array_agg(m.severity))[1] as severity, string_agg(format('%s (%s; fixed in %s)', m.cve, m.problem, m.fixed_in), ', ') as list,
         max(split_part(m.fixed_in, '.', 2)::integer) as minor
    into lacking
    from tenantry_private.missing_fixes(server_version) m;
  if lacking.list is null then
    return;
  end if;
  code := 'server_outdated'; object := 'PostgreSQL ' || version;
  severity := case when split_part(accepted, '.', 1)::integer = server_version / 10000
                    and split_part(accepted, '.', 2)::integer <= server_version % 10000 then 'info' else lacking.severity end;
  problem := format('the server lacks %s', lacking.list);
  fix := format('-- install PostgreSQL %s.%s or later and restart; where that must wait: select tenantry.configure(''accepted_server'', %L);',
           server_version / 10000, lacking.minor, version);
  return next;
end
$$;

comment on function tenantry_private.server_findings(integer) is 'Finding server_outdated.';
