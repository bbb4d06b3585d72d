import { afterEach, describe, expect, it } from 'vitest'
import { render } from '../../src/survey/index.js'
import type { TestDatabase } from '../support/database.js'
import { cli } from './cli.js'
import {
  accounts,
  applied,
  classes,
  proposalFor,
  surveyAgain,
  surveyOf,
  type Surveyed,
} from './surveyed.js'

let surveyed: Surveyed

afterEach(() => surveyed.db.drop())

describe('tables without owners', () => {
  it('tells look-ups from what might be personal', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table countries (code char(2) primary key);
      create table holidays  (country char(2) references countries, day date, primary key (country, day));
      create table regions   (id int primary key, country char(2) not null references countries);
      create table messages  (id int primary key, email text, body text);
      create table counters  (name text primary key, value bigint);
      create table knex_migrations (id int primary key);
      alter table accounts add country char(2) references countries;`))
    expect(classes(found)).toEqual({
      accounts: 'owned',
      countries: 'shared',
      holidays: 'shared',
      regions: 'undecided',
      messages: 'undecided',
      counters: 'undecided',
      knex_migrations: 'exempt',
    })
  })

  it('never shares what is only referenced, and shows how it gets an owner', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table places   (id bigint primary key, note text);
      create table visitors (id bigint primary key, account_id bigint not null references accounts,
                             place_id bigint references places);
      insert into accounts values (1), (2);
      insert into places values (1, 'one'), (2, 'two');
      insert into visitors values (1, 1, 1), (2, 2, 2);`))
    const places = proposalFor(found, 'places')
    expect(places.class).toBe('undecided')
    const [first] = places.alternatives
    expect(first?.reason).toContain('belong to whoever references them from visitors')
    for (const statement of [
      `select tenantry.register_kind('account', 'accounts')`,
      ...(first?.statements ?? []),
    ]) {
      await surveyed.db.admin.query(statement)
    }
    const { rows } = await surveyed.db.admin.query(
      'select id::int, account_id::int from places order by id',
    )
    expect(rows).toEqual([
      { id: 1, account_id: 1 },
      { id: 2, account_id: 2 },
    ])
  })

  it('leaves partitions, temporary tables and extensions out', async () => {
    const { found } = (surveyed = await surveyOf(
      `${accounts}
       create table events (account_id bigint not null, at date not null) partition by range (at);
       create table events_old partition of events default;
       create temporary table scratch (id int);
       create extension if not exists pg_trgm;`,
      { superuser: true },
    ))
    expect(classes(found)).toEqual({ accounts: 'owned', events: 'owned' })
  })
})

describe('what else there is', () => {
  it('warns of triggers, defaults and views that reach beyond their table', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table counts (account_id bigint primary key references accounts, n int not null);
      create function next_number() returns bigint language sql as 'select count(*) from counts';
      create table notes  (id bigint primary key default next_number(), account_id bigint not null references accounts,
                           code text unique);
      create function count_note() returns trigger language plpgsql security definer as
        $f$ begin update counts set n = n + 1 where account_id = new.account_id; return new; end $f$;
      create trigger count_notes after insert on notes for each row execute function count_note();
      create unlogged table drafts (id bigint primary key, account_id bigint not null references accounts);
      create view recent as select * from notes;
      create view all_recent as select * from recent;
      create materialized view totals as select account_id, count(*) from notes group by account_id;`))
    const warnings = proposalFor(found, 'notes').warnings.join('\n')
    expect(warnings).toMatch(
      /trigger count_notes runs public\.count_note as owner_\S+ and writes counts/,
    )
    expect(warnings).toContain('the default of id calls public.next_number')
    expect(warnings).toContain('notes_code_key is unique across owners')
    expect(proposalFor(found, 'drafts').warnings.join()).toContain(
      'alter table public.drafts set logged',
    )
    expect(found.views.map((each) => [each.view.name, each.statements])).toEqual([
      [
        'all_recent',
        [
          'alter view public.all_recent set (security_invoker = true);',
          'grant select on public.all_recent to tenantry_user;',
        ],
      ],
      [
        'recent',
        [
          'alter view public.recent set (security_invoker = true);',
          'grant select on public.recent to tenantry_user;',
        ],
      ],
      ['totals', ['revoke all on public.totals from public, tenantry_user;']],
    ])
  })

  it('gives the tables of a superuser to a role that policies bind', async () => {
    surveyed = await surveyOf(
      `${accounts}
       create table notes (id bigserial primary key, account_id bigint not null references accounts);`,
      { superuser: true },
    )
    const { db, found: before } = surveyed
    expect(before.warnings.join()).toContain(`${surveyed.db.name}_owner becomes their owner`)
    const newOwner = await surveyed.db.role('made_owner')
    const runtime = await surveyed.db.role('made_runtime')
    const found = await surveyAgain(db, { owner: newOwner.name, runtimeLogin: runtime.name })
    surveyed = { db, found }
    expect(found.warnings.join()).toContain('is bound by no policy')
    const { out, check } = await applied(surveyed)
    expect(out).toContain('0 refused')
    expect(check).toBe('Nothing stands open.\n')
    const { rows } = await surveyed.db.admin.query(
      `select tableowner from pg_tables where tablename = 'notes'`,
    )
    expect(rows).toEqual([{ tableowner: newOwner.name }])
  })

  it('quotes whatever names there are, and apply understands them', async () => {
    const { found } = (surveyed = await surveyOf(
      `create schema "we;ird";
       create table "we;ird"."acc'ounts" ("the id" bigint primary key);
       create table "we;ird"."order ""x"" --" ("i\\d" bigint primary key, "acc,ount" bigint not null references "we;ird"."acc'ounts");
       create table "we;ird"."select" (id bigint primary key, "from{" bigint not null references "we;ird"."order ""x"" --");`,
      { kinds: { account: "we;ird.acc'ounts" } },
    ))
    expect(classes(found)).toEqual({
      "acc'ounts": 'owned',
      'order "x" --': 'owned',
      select: 'by parent',
    })
    const { out, check } = await applied(surveyed)
    expect(out).toContain('0 refused')
    expect(check).toBe('Nothing stands open.\n')
  })

  it('has nothing to say of an empty database', async () => {
    const { found } = (surveyed = await surveyOf('select 1'))
    expect(found.proposals).toEqual([])
    expect(render(found)).toContain('0 tables')
  })

  it('says that times are too low where nothing was analysed', async () => {
    surveyed = await surveyOf('select 1')
    await surveyed.db.admin.query(accounts)
    const { out } = await cli(['survey'], { url: surveyed.db.url() })
    expect(out).toContain('1 table never analysed')
    expect(out).toContain('public.accounts (never analysed, 16 kB): owned')
  })

  it('writes what is declared as a file that declares it again', async () => {
    const schema = `${accounts}
      create table agents    (id bigint primary key, account_id bigint not null references accounts);
      create table invoices  (id bigint primary key, account_id bigint not null references accounts,
                              written_by bigint references agents);
      create table lines     (id bigint primary key, invoice_id bigint not null references invoices, owner bigint);
      create table countries (code text primary key);
      create table migrations (id int primary key);`
    const declared = `
      select tenantry.manage_schema('public');
      select tenantry.register_kind('account', 'accounts');
      select tenantry.register_kind('agent', 'agents', owner_column => 'account_id', owner_kind => 'account', acts_for_owner => true);
      select tenantry.protect('accounts', owner_column => 'id', owner_kind => 'account');
      select tenantry.protect('agents', owner_column => 'account_id', owner_kind => 'account');
      select tenantry.protect('invoices', owner_column => 'account_id', owner_kind => 'account', unchecked_references => '{written_by}');
      select tenantry.protect('lines', owner_column => 'owner', owner_from => '{invoice_id}');
      select tenantry.share('countries');
      select tenantry.exempt('migrations', 'it''s bookkeeping');`
    surveyed = await surveyOf(schema)
    await surveyed.db.admin.query(declared)
    const runtime = await surveyed.db.role('again')
    const found = await surveyAgain(surveyed.db, { runtimeLogin: runtime.name })
    const registry = `select json_agg(t order by t.table_name) as tables,
                             (select json_agg(k order by k.kind) from (select kind, relation::text, owner_column, acts_for_owner from tenantry.kinds) k) as kinds
                        from (select table_name, class, owner_column, owner_kind, owner_from, parent::text,
                                     unchecked_references, writers, reason from tenantry.tables) t`
    const { rows: expected } = await surveyed.db.admin.query(registry)
    const owner = await ownerName(surveyed.db)
    await surveyed.db.drop()

    const second = await surveyOf(schema)
    surveyed = second
    const login = await second.db.role('again')
    const input = render(found)
      .replaceAll(runtime.name, login.name)
      .replaceAll(owner, await ownerName(second.db))
    const { code, out } = await cli(['apply', '-'], { url: second.db.url(), input })
    expect(out).toContain('0 refused')
    expect(code).toBe(0)
    expect((await second.db.admin.query(registry)).rows).toEqual(expected)
  })
})

/** The login that owns the tables; its name differs from database to database. */
async function ownerName(db: TestDatabase): Promise<string> {
  const { rows } = await db.admin.query<{ tableowner: string }>(
    `select tableowner from pg_tables where tablename = 'accounts'`,
  )
  return rows[0]?.tableowner ?? ''
}
