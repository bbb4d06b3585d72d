-- Filled, live tables: added → dual → filled → verified → switched → sealed. The column stays where it is; until the scrub a
-- copy of each plaintext lies beside it, so that every step but the last can be undone. Procedures that commit can neither
-- be security definers nor carry settings, so everything in them is qualified.

create function tenantry_private.step_column(target regclass, secret_column uuid, to_state text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  settled record;
begin
  perform tenantry_private.move_encrypted_column(secret_column, to_state);
  for settled in select * from tenantry_private.settle_table(target, 0, false) loop
    null;
  end loop;
end
$$;

comment on function tenantry_private.step_column(regclass, uuid, text) is 'Moves a column to a state, and the table with it.';

create function tenantry_private.open_job(target regclass, working text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  schema  constant name := (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = target);
  fired   text;
  settled record;
begin
  select string_agg(format('%I', t.trigger_name), ', ')
    into fired
    from tenantry_private.update_triggers(target) t
   where not tenantry_private.is_own_trigger(t.trigger_name);
  if fired is not null then
    perform tenantry_private.refuse(format('triggers of the application would fire for every row of %s: %s', target, fired),
      format('They would run as tenantry_engine and take this for changes of the rows. Run: alter table %s disable trigger user; and afterwards: alter table %1$s enable trigger user; select * from tenantry.sync();', target));
  end if;
  perform tenantry_private.lock_patiently(target, target);
  perform tenantry_private.record_job(target, working);
  if not has_schema_privilege('tenantry_engine', schema, 'usage') then
    execute format('grant usage on schema %I to tenantry_engine', schema);
  end if;
  execute format('grant select, update on table %s to tenantry_engine', target);
  for settled in select * from tenantry_private.settle_table(target, 0, false) loop
    null;
  end loop;
end
$$;

comment on function tenantry_private.open_job(regclass, text) is 'Opens a batch job: tenantry_engine gets its policy and grants on the table. Errors: 55P03, TN011.';

create function tenantry_private.end_job(target regclass, working text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  settled record;
begin
  perform tenantry_private.lock_patiently(target, target);
  perform tenantry_private.close_job(target, working);
  if not tenantry_private.engine_works_on(target) then
    execute format('revoke all on table %s from tenantry_engine', target);
  end if;
  for settled in select * from tenantry_private.settle_table(target, 0, false) loop
    null;
  end loop;
end
$$;

comment on function tenantry_private.end_job(regclass, text) is 'Closes a batch job and takes back what it had. Error: 55P03.';

create function tenantry_private.job_lock(target regclass, working text)
returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
return hashtext('tenantry ' || target::oid || ' ' || working);

comment on function tenantry_private.job_lock(regclass, text) is 'The advisory lock of a job: it stays the same when the table is renamed.';

create function tenantry_private.job_process(target regclass, working text)
returns integer
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select l.pid
    from pg_catalog.pg_locks l
   where l.locktype = 'advisory' and l.granted and l.objsubid = 1
     and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
     and (l.classid::bigint << 32 | l.objid::bigint) = tenantry_private.job_lock(target, working)
   limit 1);

comment on function tenantry_private.job_process(regclass, text) is 'The process that is the runner of a job; null where nobody is.';

create function tenantry_private.holds_job(target regclass, working text)
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return tenantry_private.job_process(target, working) is not distinct from pg_backend_pid();

comment on function tenantry_private.holds_job(regclass, text) is 'Whether this session is the runner of a job.';

create function tenantry_private.try_job(target regclass, working text)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Not a second time where an earlier call of this session failed to let it go: it would have to be let go twice.
  return tenantry_private.holds_job(target, working) or pg_try_advisory_lock(tenantry_private.job_lock(target, working));
end
$$;

comment on function tenantry_private.try_job(regclass, text) is 'Makes this session the runner of a job until unlock_job() or its end, if nobody else is.';

create function tenantry_private.lock_job(target regclass, working text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  holder  text;
  process integer;
begin
  if tenantry_private.try_job(target, working) then
    return;
  end if;
  select format('process %s (%s, since %s)', a.pid, a.usename, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI')), a.pid
    into holder, process
    from pg_catalog.pg_stat_activity a
   where a.pid = tenantry_private.job_process(target, working);
  raise exception 'somebody else is at this already: %', coalesce(holder, 'another session')
    using errcode = '55P03', hint = format('Wait for it, or end it: select pg_cancel_backend(%1$s); or, where it only holds the lock, pg_terminate_backend(%1$s). It can be resumed.', coalesce(process::text, '<process>'));
end
$$;

comment on function tenantry_private.lock_job(regclass, text) is 'One runner at a time, until unlock_job() or the end of the session. Error: 55P03.';

create function tenantry_private.unlock_job(target regclass, working text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  if tenantry_private.holds_job(target, working) then
    perform pg_advisory_unlock(tenantry_private.job_lock(target, working));
  end if;
end
$$;

comment on function tenantry_private.unlock_job(regclass, text) is 'Lets the next runner at a job; nothing where this session is not the one.';

-- A lock that outlives COMMIT outlives an error, too. A block that catches errors cannot hold a COMMIT, so every step of a
-- runner is a block of its own that lets go what it holds before the error goes on. What ends a session frees it anyway.
create function tenantry_private.let_go(target regclass, secret_column uuid, mode text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tenantry_private.unlock_job(target, mode || ' ' || secret_column);
  if mode = 'reseal' then
    -- The rotation that it is a part of ends with it.
    perform tenantry_private.unlock_job('tenantry_private.data_keys'::regclass, 'rotate_data_keys');
  end if;
end
$$;

comment on function tenantry_private.let_go(regclass, uuid, text) is 'Lets the next runner at a job that an error has ended.';

create procedure tenantry_private.run_job(target regclass, secret_column uuid, mode text, key_share bytea, batch_size integer, inout differing bigint default 0)
language plpgsql
as $$
declare
  job    constant pg_catalog.text := mode OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) secret_column::pg_catalog.text;
  result bigint[];
  total  bigint := 0;
  began  pg_catalog.timestamptz := pg_catalog.clock_timestamp();
  told   pg_catalog.timestamptz := pg_catalog.clock_timestamp();
begin
  begin
    perform tenantry_private.lock_job(target, job);
    perform tenantry_private.open_job(target, job);
  exception
    when others or query_canceled or assert_failure then
      perform tenantry_private.let_go(target, secret_column, mode);
      raise;
  end;
  commit;
  loop
    begin
      result := tenantry_private.engine_batch(target, secret_column, mode, key_share, batch_size);
    exception
      when others or query_canceled or assert_failure then
        perform tenantry_private.let_go(target, secret_column, mode);
        raise;
    end;
    commit;
    exit when result[1] OPERATOR(pg_catalog.=) 0;
    total     := total OPERATOR(pg_catalog.+) result[1];
    differing := differing OPERATOR(pg_catalog.+) result[2];
    if pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) told OPERATOR(pg_catalog.>) interval '2 seconds' then
      told := pg_catalog.clock_timestamp();
      raise notice '%: % of %: % rows, % rows/s', mode, target, secret_column, total,
        pg_catalog.round(total::numeric OPERATOR(pg_catalog./) pg_catalog.extract('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) began));
    end if;
  end loop;
  begin
    perform tenantry_private.end_job(target, job);
  exception
    when others or query_canceled or assert_failure then
      perform tenantry_private.let_go(target, secret_column, mode);
      raise;
  end;
  perform tenantry_private.unlock_job(target, job);
  commit;
end
$$;

comment on procedure tenantry_private.run_job(regclass, uuid, text, bytea, integer, bigint) is
  'Runs a job batch by batch, each a transaction. Interrupted, it goes on where it was. differing: rows changed, or found different. Error: 55P03 where another session is at it.';

create procedure tenantry.encrypt_existing(
  target      regclass,
  column_name name,
  path        text[]  default '{}',
  to_step     text    default 'switched',
  key_share   bytea   default null,
  batch_size  integer default 5000
)
language plpgsql
as $$
declare
  secret    tenantry_private.encrypted_columns;
  differing bigint := 0;
  steps     constant pg_catalog.text[] := array['added', 'dual', 'filled', 'verified', 'switched', 'sealed'];
begin
  secret := tenantry_private.encrypted_column(target, column_name, path);
  perform tenantry_private.require_step(secret, to_step, batch_size);
  if to_step OPERATOR(pg_catalog.=) 'plain' then
    call tenantry_private.make_plain(secret.relation, secret.column_id, key_share, batch_size);
    return;
  end if;
  while pg_catalog.array_position(steps, secret.state) OPERATOR(pg_catalog.<) pg_catalog.array_position(steps, to_step) loop
    case
      when secret.state OPERATOR(pg_catalog.=) 'added' then
        perform tenantry_private.step_column(target, secret.column_id, 'dual');
        commit;
      when secret.state OPERATOR(pg_catalog.=) 'dual' then
        call tenantry_private.run_job(target, secret.column_id, 'fill', key_share, batch_size, differing);
        perform tenantry_private.step_column(target, secret.column_id, 'filled');
        commit;
      when secret.state OPERATOR(pg_catalog.=) 'filled' then
        differing := 0;
        call tenantry_private.run_job(target, secret.column_id, 'verify', key_share, batch_size, differing);
        perform tenantry_private.refuse_differing(target, column_name, differing);
        perform tenantry_private.step_column(target, secret.column_id, 'verified');
        commit;
      when secret.state OPERATOR(pg_catalog.=) 'verified' then
        perform tenantry_private.step_column(target, secret.column_id, 'switched');
        commit;
      else
        perform tenantry_private.drop_copies(target, secret.column_id);
        commit;
    end case;
    secret := tenantry_private.encrypted_column(target, column_name, path);
    raise notice '%.%: %', target, pg_catalog.quote_ident(column_name), secret.state;
  end loop;
  if tenantry_private.is_job_open(target, 'scrub ' OPERATOR(pg_catalog.||) secret.column_id::pg_catalog.text) then
    call tenantry_private.scrub(target, secret.column_id);
  end if;
end
$$;

comment on procedure tenantry.encrypt_existing(regclass, name, text[], text, bytea, integer) is
  'Takes a filled column through its steps, up to to_step: dual (new values are sealed, with a copy of the plaintext beside them), filled (old ones, too, in batches that commit), verified (each opened and compared with its copy), switched (default: no copy of new values any more), sealed (copies dropped, table and partitions rewritten: holds ACCESS EXCLUSIVE meanwhile, and cannot be undone). to_step => ''plain'' undoes all. Resumes where it was interrupted. key_share: the application''s share, unless a key file is set. Errors: 42501, 55P03, TN005, TN006, TN011.';

create function tenantry_private.encrypted_column(target regclass, column_name name, path text[])
returns tenantry_private.encrypted_columns
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  secret tenantry_private.encrypted_columns;
begin
  perform tenantry_private.require_own_table(target, 'encrypt_column');
  select e.* into secret from tenantry_private.encrypted(target) e where e.column_name = column_name and e.path = coalesce(path, '{}');
  if not found then
    perform tenantry_private.refuse(format('%s.%I%s is not encrypted', target, column_name, coalesce(' at ' || nullif(path::text, '{}'), '')),
      format('Run: select * from tenantry.encrypt_column(%L, %L);', target, column_name));
  end if;
  return secret;
end
$$;

comment on function tenantry_private.encrypted_column(regclass, name, text[]) is 'The declaration of an encrypted column. Error: TN011.';

create function tenantry_private.require_step(secret tenantry_private.encrypted_columns, to_step text, batch_size integer)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if to_step is null or to_step not in ('dual', 'filled', 'verified', 'switched', 'sealed', 'plain') then
    perform tenantry_private.refuse(format('there is no step %s', coalesce(quote_literal(to_step), 'null')), 'Steps: dual, filled, verified, switched, sealed; or plain, which undoes them.');
  end if;
  if batch_size is null or batch_size not between 1 and 100000 then
    perform tenantry_private.refuse('a batch has between 1 and 100000 rows', 'The default is 5000.');
  end if;
  if to_step <> 'plain' and array_position(array['added', 'dual', 'filled', 'verified', 'switched', 'sealed'], secret.state)
                          > array_position(array['added', 'dual', 'filled', 'verified', 'switched', 'sealed'], to_step) then
    perform tenantry_private.refuse(format('%s.%I is %s already', secret.relation, secret.column_name, secret.state),
      'Going back is all the way: to_step => ''plain''.');
  end if;
end
$$;

comment on function tenantry_private.require_step(tenantry_private.encrypted_columns, text, integer) is 'Refuses a step that does not exist, or lies behind. Error: TN011.';

create function tenantry_private.refuse_differing(target regclass, column_name name, differing bigint)
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if differing > 0 then
    perform tenantry_private.refuse(format('%s values of %s.%I do not open to what their copies say, or were not sealed', differing, target, column_name),
      format('Undo it: call tenantry.encrypt_existing(%L, %L, to_step => ''plain''); or fill again what was written with triggers off.', target, column_name));
  end if;
end
$$;

comment on function tenantry_private.refuse_differing(regclass, name, bigint) is 'Refuses to go on where values differ from their copies. Error: TN011.';

create function tenantry_private.drop_copies(target regclass, secret_column uuid)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  copies constant name := (select e.plain_column from tenantry_private.encrypted(target) e where e.column_id = secret_column);
  settled record;
begin
  perform tenantry_private.lock_facade(target);
  perform tenantry_private.drop_facade(target);
  perform tenantry_private.drop_reach_view(target);
  perform tenantry_private.move_encrypted_column(secret_column, 'sealed');
  perform tenantry_private.define_seal(target);
  execute format('alter table %s drop column %I', target, copies);
  for settled in select * from tenantry_private.settle_table(target, 0, false) loop
    null;
  end loop;
  perform tenantry_private.record_job(target, 'scrub ' || secret_column);
end
$$;

comment on function tenantry_private.drop_copies(regclass, uuid) is 'Drops the copies of plaintexts, and notes that the table is to be rewritten. Error: 55P03.';

-- Rewriting keeps dead rows that somebody could still see: a snapshot of this database, autovacuum's among them, or this
-- session's own, which is as old as the oldest transaction under way in any database. Snapshots of other sessions are not
-- shown to everybody: who may not look at them waits for the transactions that write, and for nobody else.
create function tenantry_private.is_seen_still(since xid8)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return pg_snapshot_xmin(pg_current_snapshot()) <= since
      or exists (
         select
           from pg_stat_activity a
          where a.datname = current_database() and a.pid <> pg_backend_pid()
            and greatest(age(a.backend_xmin), age(a.backend_xid)) >= age(since::xid));
end
$$;

comment on function tenantry_private.is_seen_still(xid8) is 'Whether a transaction may still see rows that were dead when the given one began.';

create function tenantry_private.rewrite_table(target regclass, secret_column uuid)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  part record;
begin
  perform tenantry_private.lock_facade(target);
  -- Heap and TOAST without dead rows and dropped columns, and every index; of a partitioned table in its partitions, where the
  -- rows are.
  for part in
    select tree.relation, i.relname as index, x.indisclustered as clustered
      from tenantry_private.relation_tree(target) tree
      join pg_catalog.pg_class c on c.oid = tree.relation and c.relkind = 'r'
      left join pg_catalog.pg_index x on x.indrelid = tree.relation and x.indisprimary
      left join pg_catalog.pg_class i on i.oid = x.indexrelid
     order by tree.depth, tree.relation::text
  loop
    if part.index is null then
      perform tenantry_private.refuse(format('%s has no primary key, by which it would be rewritten', part.relation),
        format('Run: alter table %s add primary key (…); and call this again.', part.relation));
    end if;
    execute format('cluster %s using %I', part.relation, part.index);
    if not part.clustered then
      execute format('alter table %s set without cluster', part.relation);
    end if;
  end loop;
  execute format('analyze %s', target);
  perform tenantry_private.close_job(target, 'scrub ' || secret_column);
end
$$;

comment on function tenantry_private.rewrite_table(regclass, uuid) is 'Rewrites a table and its partitions, with TOAST tables and indexes. Errors: 55P03, TN011.';

create procedure tenantry_private.scrub(target regclass, secret_column uuid)
language plpgsql
as $$
declare
  since    pg_catalog.xid8;
  deadline constant pg_catalog.timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '20 seconds';
begin
  -- After the copies are dropped, so that whatever holds one is older.
  since := pg_catalog.pg_current_xact_id();
  commit;
  while tenantry_private.is_seen_still(since) loop
    if pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) deadline then
      raise warning 'transactions that began earlier may still see the plaintexts of %, so their dead rows stay for now', target
        using hint = pg_catalog.format('When they have ended, run: vacuum full %s; to find them: select pid, datname, xact_start, query from pg_stat_activity where backend_xmin is not null;', target);
      exit;
    end if;
    -- Each look in a transaction of its own: a snapshot of this session's would be one more to wait for.
    commit;
    perform pg_catalog.pg_sleep(0.1);
    commit;
  end loop;
  perform tenantry_private.rewrite_table(target, secret_column);
  commit;
end
$$;

comment on procedure tenantry_private.scrub(regclass, uuid) is
  'Waits up to 20 seconds for transactions that may still see copies of plaintexts, warns if some stay, and rewrites the table. Interrupted, it is done by the next call of encrypt_existing(). Errors: 55P03, TN011.';

create procedure tenantry_private.make_plain(target regclass, secret_column uuid, key_share bytea, batch_size integer)
language plpgsql
as $$
declare
  opened bigint := 0;
begin
  -- From here on new values are plaintexts again, and the view shows either.
  perform tenantry_private.step_column(target, secret_column, 'added');
  commit;
  call tenantry_private.run_job(target, secret_column, 'open', key_share, batch_size, opened);
  perform tenantry_private.forget_encrypted_column(target, secret_column);
  commit;
  raise notice '%: % values are plaintexts again', target, opened;
end
$$;

comment on procedure tenantry_private.make_plain(regclass, uuid, bytea, integer) is 'Opens every value of a column, and forgets that it was encrypted.';

create function tenantry_private.forget_encrypted_column(target regclass, secret_column uuid)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  secret  tenantry_private.encrypted_columns;
  item    record;
  settled record;
begin
  select e.* into secret from tenantry_private.encrypted(target) e where e.column_id = secret_column;
  perform tenantry_private.lock_facade(target);
  perform tenantry_private.drop_facade(target);
  perform tenantry_private.close_job(target, 'scrub ' || secret_column);
  perform tenantry_private.move_encrypted_column(secret_column, null);
  if not exists (select from tenantry_private.encrypted(target)) then
    for item in select t.tgname from pg_catalog.pg_trigger t where t.tgrelid = target and t.tgname like '~tenantry\_seal\_%' and t.tgparentid = 0 loop
      execute format('drop trigger %I on %s', item.tgname, target);
    end loop;
    execute format('revoke all on table %s from tenantry_facade', target);
    perform tenantry_private.drop_seal(target);
  else
    -- The condition of the trigger must not name the column any more before that is altered.
    perform tenantry_private.define_seal(target);
    for item in select s.* from tenantry_private.seal_triggers(target) s where not s.is_there loop
      execute item.definition;
      execute format('alter table %s enable always trigger %I', target, item.trigger_name);
    end loop;
    perform tenantry_private.note_triggers(target);
  end if;
  perform tenantry_private.drop_reach_view(target);
  if secret.index_column is not null then
    execute format('alter table %s drop column %I', target, secret.index_column);
  end if;
  if secret.plain_column is not null then
    execute format('alter table %s drop column %I', target, secret.plain_column);
  end if;
  if secret.max_length is not null then
    execute format('alter table %s alter column %I type character varying(%s)', target, secret.column_name, secret.max_length);
  end if;
  for settled in select * from tenantry_private.settle_table(target, 0, false) loop
    null;
  end loop;
end
$$;

comment on function tenantry_private.forget_encrypted_column(regclass, uuid) is 'Takes everything off a table that one encrypted column needed.';

create function tenantry_private.drop_seal(target regclass)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set debug_print_parse = off
set debug_print_rewritten = off
set debug_print_plan = off
as $$
begin
  perform tenantry_private.require_admin('declare how tables are isolated');
  perform tenantry_private.require_declarable(target);
  execute format('drop function if exists tenantry_private.%I()', 'seal_' || (tenantry_private.declared(target)).tag);
end
$$;

comment on function tenantry_private.drop_seal(regclass) is 'Drops the sealing trigger function of a table.';

create procedure tenantry.unencrypt_column(
  target      regclass,
  column_name name,
  path        text[]  default '{}',
  key_share   bytea   default null,
  batch_size  integer default 5000
)
language plpgsql
as $$
begin
  call tenantry.encrypt_existing(target, column_name, path, 'plain', key_share, batch_size);
end
$$;

comment on procedure tenantry.unencrypt_column(regclass, name, text[], bytea, integer) is
  'The inverse of encrypt_column(): opens every value in place, in batches that commit, and forgets the column. Shredded values stay sealed texts. Errors: as tenantry.encrypt_existing().';
