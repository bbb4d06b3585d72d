import type pg from 'pg'
import { interleave, type Sample, type Variant } from './sampling.js'
import { counts, type SecretBench } from './secrets-stage.js'

/** Microseconds of one call, each the median of its rounds. */
export interface Primitives {
  readonly seal: number
  readonly open: number
  readonly pgpSeal: number
  readonly pgpOpen: number
  /** Bytes that a sealed value is longer than its plaintext, before base64. */
  readonly overhead: number
}

export interface SecretFigures {
  readonly primitives: Primitives
  /** Microseconds: decrypted and raw, of a list per row, of one row by its key. */
  readonly list: Pair
  readonly point: Pair
  readonly pointPrepared: Pair
  /** Microseconds per row: into an encrypted table and into the same without secrets. */
  readonly insert: Pair
  readonly search: Pair
  readonly backfill: { readonly rows: number; readonly seconds: number }
  readonly rewrap: { readonly keys: number; readonly seconds: number }
}

/** The same with secrets and without. */
export interface Pair {
  readonly secret: number
  readonly plain: number
}

const listed = 1000

/** Everything that secrets cost, in one run on one server. */
export async function measureSecrets(
  bench: SecretBench,
  rounds: number,
  onStep: (what: string) => void,
): Promise<SecretFigures> {
  onStep('one value, keys given')
  const primitives = await measurePrimitives(bench.admin)
  const { rows } = await bench.admin.query<{ id: string; plain: string; column: string }>(
    `select (select id from vault limit 1) as id, (select id from plain limit 1) as plain,
            (select column_id from tenantry.encrypted_columns where column_name = 'email') as column`,
  )
  const some = rows[0]
  if (!some) throw new Error('the vault is empty')

  await bench.enter()
  const run =
    (text: string, values: unknown[] = [], name?: string) =>
    () =>
      bench.app.query({ text, values, name })
  const point = (view: string) => `select token from ${view} where id = $1`
  onStep('reads through the decrypting view')
  const list = await pair(
    run(`select token from tenant.vault limit ${listed}`),
    run(`select token from vault limit ${listed}`),
    Math.ceil(rounds / 20),
    listed,
  )
  const single = await pair(
    run(point('tenant.vault'), [some.id]),
    run(point('vault'), [some.id]),
    rounds,
  )
  const prepared = await pair(
    run(point('tenant.vault'), [some.id], 'secret'),
    run(point('vault'), [some.id], 'raw'),
    rounds,
  )
  onStep('search by blind index')
  const search = await pair(
    run('select id from vault where email_index = tenantry.blind_index($1, $2)', [
      some.column,
      'person7@example.org',
    ]),
    run('select id from plain where email = $1', ['person7@example.org']),
    rounds,
  )
  onStep('inserts')
  const insert = await pair(run(insertInto('vault')), run(insertInto('plain')), 30, 100)
  await bench.app.query('rollback')

  onStep(`backfill of ${String(counts.backfill)} rows`)
  const backfill = await seconds(() =>
    bench.admin.query(
      `call tenantry.encrypt_existing('ledger', 'token', to_step => 'filled', key_share => $1)`,
      [bench.share],
    ),
  )
  onStep(`${String(counts.keys)} keys wrapped anew`)
  await makeKeys(bench)
  const rewrap = await seconds(() =>
    bench.admin.query(`call tenantry.rotate_master_key($1, $2)`, [
      bench.share,
      Buffer.alloc(32, 7),
    ]),
  )
  await proveDone(bench.admin)
  return {
    primitives,
    list,
    point: single,
    pointPrepared: prepared,
    insert,
    search,
    backfill: { rows: counts.backfill, seconds: backfill },
    rewrap: { keys: counts.keys, seconds: rewrap },
  }
}

const insertInto = (table: string) =>
  `insert into ${table} (token) select 'sk-live-' || n from generate_series(1, 100) n`

async function pair(
  secret: Variant['run'],
  plain: Variant['run'],
  rounds: number,
  rows = 1,
): Promise<Pair> {
  for (const found of [await secret(), await plain()] as pg.QueryResult[]) {
    if (found.rowCount !== rows) throw new Error('a statement does not do what is measured')
  }
  const samples = await interleave(
    [
      { name: 'secret', run: secret },
      { name: 'plain', run: plain },
    ],
    rounds,
  )
  const [first, second] = samples as [Sample, Sample]
  return { secret: first.median / rows, plain: second.median / rows }
}

async function seconds(run: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint()
  await run()
  return Number(process.hrtime.bigint() - start) / 1e9
}

/** Rounds of ours and of pgcrypto's take turns; 100,000 values of ours in all. */
async function measurePrimitives(admin: pg.Client): Promise<Primitives> {
  await admin.query(`
    create function pg_temp.primitives(out seal float8[], out open float8[], out pgp_seal float8[], out pgp_open float8[], out overhead integer)
    language plpgsql as $$
    declare
      plain    constant bytea := convert_to('sk-live-0123456789abcdef', 'UTF8');
      data_key constant bytea := tenantry_private.random_bytes(32);
      tag_key  constant bytea := tenantry_private.random_bytes(32);
      place    constant uuid  := gen_random_uuid();
      owner    constant text  := 'user:' || gen_random_uuid();
      pk       constant bytea := int4send(1) || tenantry_private.part(uuid_send(gen_random_uuid()));
      began    timestamptz;
      bytes    bytea;
      back     bytea;
      secret   text;
    begin
      for turn in 1 .. 21 loop
        began := clock_timestamp();
        for n in 1 .. 5000 loop bytes := tenantry_private.seal_bytes(plain, 7, data_key, tag_key, place, owner, pk); end loop;
        seal[turn] := extract('epoch' from clock_timestamp() - began) * 1e6 / 5000;
        began := clock_timestamp();
        for n in 1 .. 5000 loop back := tenantry_private.open_bytes(bytes, data_key, tag_key, place, owner, pk); end loop;
        open[turn] := extract('epoch' from clock_timestamp() - began) * 1e6 / 5000;
        overhead := octet_length(bytes) - octet_length(plain);
        if back <> plain then raise exception 'opened to something else'; end if;
        began := clock_timestamp();
        for n in 1 .. 100 loop bytes := pgp_sym_encrypt('sk-live-0123456789abcdef', 'a password of some length'); end loop;
        pgp_seal[turn] := extract('epoch' from clock_timestamp() - began) * 1e6 / 100;
        began := clock_timestamp();
        for n in 1 .. 100 loop secret := pgp_sym_decrypt(bytes, 'a password of some length'); end loop;
        pgp_open[turn] := extract('epoch' from clock_timestamp() - began) * 1e6 / 100;
      end loop;
    end
    $$`)
  const home = `(select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pgcrypto')`
  await admin.query(`select set_config('search_path', 'pg_catalog, ' || ${home}, false)`)
  const { rows } = await admin.query<
    Record<'seal' | 'open' | 'pgp_seal' | 'pgp_open', number[]> & { overhead: number }
  >('select * from pg_temp.primitives()')
  await admin.query('reset search_path')
  const found = rows[0]
  if (!found) throw new Error('nothing was measured')
  // The first round prepares what the others run.
  const median = (times: number[]): number => times.slice(1).sort((a, b) => a - b)[10] ?? Number.NaN
  return {
    seal: median(found.seal),
    open: median(found.open),
    pgpSeal: median(found.pgp_seal),
    pgpOpen: median(found.pgp_open),
    overhead: found.overhead,
  }
}

/** A million data keys, wrapped as they would be. */
async function makeKeys({ admin, share }: SecretBench): Promise<void> {
  await admin.query(
    `insert into tenantry_private.data_keys (kind, id, serial, version, master_key, wrapped)
     select 'user', 'bench' || n, 1, 1, (k.key).master_key, tenantry_private.wrapped('user:bench' || n || '#1#1', tenantry_private.random_bytes(32), k.key)
       from (select (tenantry_private.unlock($1))[1] as key offset 0) k, generate_series(1, $2::integer) n`,
    [share, counts.keys - counts.owners],
  )
  await admin.query('vacuum analyze tenantry_private.data_keys')
}

async function proveDone(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ sealed: string; left: string }>(
    `select (select count(*) from ledger where token like 'tn1:%') as sealed,
            (select data_keys from tenantry.key_status where state = 'retiring') as left`,
  )
  if (Number(rows[0]?.sealed) !== counts.backfill || Number(rows[0]?.left) !== 0) {
    throw new Error(`sealed ${String(rows[0]?.sealed)} rows; ${String(rows[0]?.left)} keys left`)
  }
}
