import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { render, survey, type Proposal, type Survey } from '../../src/survey/index.js'
import type { SurveyOptions } from '../../src/survey/survey.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { cli } from './cli.js'

let db: TestDatabase

afterEach(() => db.drop())

/** Surveys a schema that an ordinary login made, or the superuser. */
async function surveyOf(
  sql: string,
  options: SurveyOptions & { superuser?: boolean } = {},
): Promise<Survey> {
  db = await testDatabase()
  const owner = await db.role('owner', { ordinary: false })
  await db.admin.query(`grant create on schema public to ${owner.name}`)
  await db.admin.query(`grant create on database "${db.name}" to ${owner.name}`)
  if (options.superuser) await db.admin.query(sql)
  else await owner.pool().query(sql)
  await db.admin.query('analyze')
  const client = await db.admin.connect()
  try {
    const runtime = await db.role('runtime')
    return await survey(client, { runtimeLogin: runtime.name, ...options })
  } finally {
    client.release()
  }
}

function proposalFor(found: Survey, table: string): Proposal {
  const proposal = found.proposals.find((each) => each.table.name === table)
  if (!proposal) throw new Error(`no proposal for ${table}`)
  return proposal
}

const classes = (found: Survey): Record<string, string> =>
  Object.fromEntries(found.proposals.map((each) => [each.table.name, each.class]))

const registered = `select tenantry.register_kind('account', 'accounts')`

const accounts = 'create table accounts (id bigint primary key, name text);'

/** Carries the survey's file out as it is and looks whether check() is content. */
async function applied(found: Survey): Promise<{ out: string; check: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-survey-'))
  try {
    const file = join(folder, 'tenantry.sql')
    writeFileSync(file, render(found))
    const { out, err } = await cli(['apply', file], { url: db.url() })
    expect(err).toBe('')
    return { out, check: (await cli(['check'], { url: db.url() })).out }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('kinds', () => {
  it('takes the table of tenants that most tables point at, and the people in it', async () => {
    const found = await surveyOf(`
      create table companies (id uuid primary key);
      create table users     (id uuid primary key, company_id uuid not null references companies);
      create table customers (id uuid primary key, company_id uuid not null references companies);
      create table invoices  (id uuid primary key, company_id uuid not null references companies,
                              customer_id uuid references customers);`)
    expect(found.kinds.map(({ kind, main, owner }) => ({ kind, main, owner }))).toEqual([
      { kind: 'company', main: true, owner: null },
      { kind: 'user', main: false, owner: { column: 'company_id', kind: 'company' } },
    ])
    expect(classes(found)).toEqual({
      companies: 'owned',
      users: 'owned',
      customers: 'owned',
      invoices: 'owned',
    })
  })

  it('takes people themselves where there is nobody above them', async () => {
    const found = await surveyOf(`
      create table users  (id integer generated always as identity primary key);
      create table agents (id uuid primary key, owner_id integer not null references users);
      create table notes  (id bigint primary key, user_id integer not null references users);`)
    expect(found.kinds.map((kind) => kind.kind)).toEqual(['user', 'agent'])
    expect(render(found)).toContain('or, if an agent works on the data of its user')
    expect(proposalFor(found, 'notes').statements).toEqual([
      `select tenantry.protect('public.notes', owner_column => 'user_id', owner_kind => 'user');`,
    ])
  })

  it('keeps organisations beside people, each with rows of their own', async () => {
    const found = await surveyOf(`
      create table orgs    (id uuid primary key, webhook_secret text);
      create table users   (id uuid primary key, org_id uuid references orgs);
      create table notes   (id uuid primary key, user_id uuid not null references users);
      create table files   (id uuid primary key, user_id uuid not null references users);
      create table badges  (id uuid primary key, org_id uuid not null references orgs);`)
    expect(found.kinds.map(({ kind }) => kind).sort()).toEqual(['org', 'user'])
    expect(Object.values(classes(found))).not.toContain('undecided')
    expect(proposalFor(found, 'badges').statements[0]).toContain(`owner_kind => 'org'`)
  })

  it('can be named by hand, and says which table it does not know', async () => {
    const found = await surveyOf(
      `create table gardens (id bigint primary key);
       create table plants  (id bigint primary key, garden_id bigint not null references gardens);`,
      { kinds: { garden: 'gardens' } },
    )
    expect(classes(found)).toEqual({ gardens: 'owned', plants: 'owned' })
    const unknown = await cli(['survey', '--kind', 'x=nothing'], { url: db.url() })
    expect(unknown).toMatchObject({
      code: 1,
      err: expect.stringContaining('There is no table nothing'),
    })
    const malformed = await cli(['survey', '--kind', 'x'], { url: db.url() })
    expect(malformed).toMatchObject({ code: 1, err: expect.stringContaining('kind=table') })
  })

  it('are asked for where no table looks like one', async () => {
    const found = await surveyOf(`create table stars (id bigint primary key, email text);`)
    expect(found.kinds).toEqual([])
    expect(classes(found)).toEqual({ stars: 'undecided' })
    expect(render(found)).toContain('tenantry survey --kind account=accounts')
  })

  it('that are registered are kept', async () => {
    await surveyOf(
      `${accounts} create table notes (id bigint primary key, account_id bigint not null);`,
    )
    await db.admin.query(`select tenantry.register_kind('customer', 'accounts')`)
    const { out } = await cli(['survey'], { url: db.url() })
    expect(out).toContain(`-- select tenantry.register_kind('customer', 'public.accounts'`)
    expect(out).toContain(`owner_column => 'account_id', owner_kind => 'customer'`)
  })
})

describe('owners', () => {
  it('leaves it to a person which of several columns names the owner', async () => {
    const found = await surveyOf(`${accounts}
      create table transfers (id bigint primary key, sender bigint not null references accounts,
                              receiver bigint not null references accounts);`)
    const proposal = proposalFor(found, 'transfers')
    expect(proposal.class).toBe('undecided')
    expect(proposal.alternatives.map((each) => each.statements[0])).toEqual([
      expect.stringContaining(`owner_column => 'receiver'`),
      expect.stringContaining(`owner_column => 'sender'`),
    ])
  })

  it('never guesses the owner of a row without one', async () => {
    const found = await surveyOf(`${accounts}
      create table files  (id bigint primary key, account_id bigint references accounts);
      create table pages  (id bigint primary key, file_id bigint references files);
      insert into accounts values (1); insert into files values (1, null); insert into pages values (1, null);`)
    expect(proposalFor(found, 'files')).toMatchObject({ class: 'undecided', statements: [] })
    expect(proposalFor(found, 'pages')).toMatchObject({ class: 'undecided', statements: [] })
  })

  it('follows keys that run in a circle', async () => {
    const found = await surveyOf(`${accounts}
      create table threads  (id bigint primary key, account_id bigint not null references accounts, last_post bigint);
      create table posts    (id bigint primary key, thread_id bigint not null references threads, best_reply bigint);
      create table replies  (id bigint primary key, post_id bigint not null references posts on delete cascade);
      alter table threads add foreign key (last_post) references posts;
      alter table posts add foreign key (best_reply) references replies;`)
    expect(classes(found)).toMatchObject({
      threads: 'owned',
      posts: 'by parent',
      replies: 'by parent',
    })
    expect(proposalFor(found, 'posts').statements[0]).toContain(`owner_from => '{thread_id}'`)
    const { out, check } = await applied(found)
    expect(out).toContain('0 refused')
    expect(check).toBe('Nothing stands open.\n')
  })

  it('suggests the foreign key that a name stands for', async () => {
    const found = await surveyOf(`${accounts}
      create table invoices      (id bigint primary key, account_id bigint not null references accounts);
      create table invoice_lines (id bigint primary key, invoice_id bigint not null);`)
    const lines = proposalFor(found, 'invoice_lines')
    expect(lines.class).toBe('undecided')
    expect(lines.alternatives[0]?.statements[0]).toBe(
      'alter table public.invoice_lines add foreign key (invoice_id) references public.invoices;',
    )
    await db.admin.query(lines.alternatives[0]?.statements[0] ?? '')
    const client = await db.admin.connect()
    const again = await survey(client).finally(() => client.release())
    expect(proposalFor(again, 'invoice_lines').class).toBe('by parent')
  })

  it('leaves open whose rows of changing parents are', async () => {
    const found = await surveyOf(`${accounts}
      create table comments (id bigint primary key, commentable_type text, commentable_id bigint);`)
    expect(proposalFor(found, 'comments').alternatives[0]?.reason).toContain(
      'commentable_type says what',
    )
  })

  it('leaves references unchecked that cross owners already', async () => {
    const found = await surveyOf(`${accounts}
      create table templates (id bigint primary key, account_id bigint not null references accounts);
      create table letters   (id bigint primary key, account_id bigint not null references accounts,
                              template_id bigint references templates, answer_to bigint references letters);
      insert into accounts values (1), (2);
      insert into templates values (1, 1);
      insert into letters values (1, 1, 1, null), (2, 2, 1, null), (3, 2, null, 2);`)
    const letters = proposalFor(found, 'letters')
    expect(letters.statements).toEqual([
      `select tenantry.protect('public.letters', owner_column => 'account_id', owner_kind => 'account', unchecked_references => '{template_id}');`,
    ])
    expect(letters.notes.join()).toContain('of other owners in some rows')
    const { check } = await applied(found)
    expect(check).toBe('Nothing stands open.\n')
  })
})

describe('tables without owners', () => {
  it('tells look-ups from what might be personal', async () => {
    const found = await surveyOf(`${accounts}
      create table countries (code char(2) primary key);
      create table holidays  (country char(2) references countries, day date, primary key (country, day));
      create table regions   (id int primary key, country char(2) not null references countries);
      create table messages  (id int primary key, email text, body text);
      create table counters  (name text primary key, value bigint);
      create table knex_migrations (id int primary key);
      alter table accounts add country char(2) references countries;`)
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
    const found = await surveyOf(`${accounts}
      create table places   (id bigint primary key, note text);
      create table visitors (id bigint primary key, account_id bigint not null references accounts,
                             place_id bigint references places);
      insert into accounts values (1), (2);
      insert into places values (1, 'one'), (2, 'two');
      insert into visitors values (1, 1, 1), (2, 2, 2);`)
    const places = proposalFor(found, 'places')
    expect(places.class).toBe('undecided')
    const [first] = places.alternatives
    expect(first?.reason).toContain('belong to whoever references them from visitors')
    for (const statement of [registered, ...(first?.statements ?? [])]) {
      await db.admin.query(statement)
    }
    const { rows } = await db.admin.query('select id::int, account_id::int from places order by id')
    expect(rows).toEqual([
      { id: 1, account_id: 1 },
      { id: 2, account_id: 2 },
    ])
  })

  it('leaves partitions, temporary tables and extensions out', async () => {
    const found = await surveyOf(
      `${accounts}
       create table events (account_id bigint not null, at date not null) partition by range (at);
       create table events_old partition of events default;
       create temporary table scratch (id int);
       create extension if not exists pg_trgm;`,
      { superuser: true },
    )
    expect(classes(found)).toEqual({ accounts: 'owned', events: 'owned' })
  })
})

describe('what else there is', () => {
  it('warns of triggers, defaults and views that reach beyond their table', async () => {
    const found = await surveyOf(`${accounts}
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
      create materialized view totals as select account_id, count(*) from notes group by account_id;`)
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
    db = await testDatabase()
    const newOwner = await db.role('made_owner')
    const runtime = await db.role('made_runtime')
    await db.admin.query(`${accounts}
      create table notes (id bigserial primary key, account_id bigint not null references accounts);`)
    const client = await db.admin.connect()
    const found = await survey(client, {
      owner: newOwner.name,
      runtimeLogin: runtime.name,
    }).finally(() => client.release())
    expect(found.warnings.join()).toContain('is bound by no policy')
    const { out, check } = await applied(found)
    expect(out).toContain('0 refused')
    expect(check).toBe('Nothing stands open.\n')
    const { rows } = await db.admin.query(
      `select tableowner from pg_tables where tablename = 'notes'`,
    )
    expect(rows).toEqual([{ tableowner: newOwner.name }])
  })

  it('quotes whatever names there are, and apply understands them', async () => {
    const found = await surveyOf(
      `create schema "we;ird";
       create table "we;ird"."acc'ounts" ("the id" bigint primary key);
       create table "we;ird"."order ""x"" --" ("i\\d" bigint primary key, "acc,ount" bigint not null references "we;ird"."acc'ounts");
       create table "we;ird"."select" (id bigint primary key, "from{" bigint not null references "we;ird"."order ""x"" --");`,
      { kinds: { account: "we;ird.acc'ounts" } },
    )
    expect(classes(found)).toEqual({
      "acc'ounts": 'owned',
      'order "x" --': 'owned',
      select: 'by parent',
    })
    const { out, check } = await applied(found)
    expect(out).toContain('0 refused')
    expect(check).toBe('Nothing stands open.\n')
  })

  it('has nothing to say of an empty database', async () => {
    const found = await surveyOf('select 1')
    expect(found.proposals).toEqual([])
    expect(render(found)).toContain('0 tables')
  })

  it('says that times are too low where nothing was analysed', async () => {
    db = await testDatabase()
    await db.admin.query(accounts)
    const { out } = await cli(['survey'], { url: db.url() })
    expect(out).toContain('1 tables were never analysed')
    expect(out).toContain('public.accounts (never analysed, 16 kB): owned')
  })
})
