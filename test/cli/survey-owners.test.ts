import { afterEach, describe, expect, it } from 'vitest'
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

describe('owners', () => {
  it('leaves it to a person which of several columns names the owner', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table transfers (id bigint primary key, sender bigint not null references accounts,
                              receiver bigint not null references accounts);`))
    const proposal = proposalFor(found, 'transfers')
    expect(proposal.class).toBe('undecided')
    expect(proposal.alternatives.map((each) => each.statements[0])).toEqual([
      expect.stringContaining(`owner_column => 'receiver'`),
      expect.stringContaining(`owner_column => 'sender'`),
    ])
  })

  it('never guesses the owner of a row without one', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table files  (id bigint primary key, account_id bigint references accounts);
      create table pages  (id bigint primary key, file_id bigint references files);
      insert into accounts values (1); insert into files values (1, null); insert into pages values (1, null);`))
    expect(proposalFor(found, 'files')).toMatchObject({ class: 'undecided', statements: [] })
    expect(proposalFor(found, 'pages')).toMatchObject({ class: 'undecided', statements: [] })
  })

  it('follows keys that run in a circle', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table threads  (id bigint primary key, account_id bigint not null references accounts, last_post bigint);
      create table posts    (id bigint primary key, thread_id bigint not null references threads, best_reply bigint);
      create table replies  (id bigint primary key, post_id bigint not null references posts on delete cascade);
      alter table threads add foreign key (last_post) references posts;
      alter table posts add foreign key (best_reply) references replies;`))
    expect(classes(found)).toMatchObject({
      threads: 'owned',
      posts: 'by parent',
      replies: 'by parent',
    })
    expect(proposalFor(found, 'posts').statements[0]).toContain(`owner_from => '{thread_id}'`)
    const { out, check } = await applied(surveyed)
    expect(out).toContain('0 refused')
    expect(check).toBe('Nothing stands open.\n')
  })

  it('suggests the foreign key that a name stands for', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table invoices      (id bigint primary key, account_id bigint not null references accounts);
      create table invoice_lines (id bigint primary key, invoice_id bigint not null);`))
    const lines = proposalFor(found, 'invoice_lines')
    expect(lines.class).toBe('undecided')
    expect(lines.alternatives[0]?.statements[0]).toBe(
      'alter table public.invoice_lines add foreign key (invoice_id) references public.invoices;',
    )
    await surveyed.db.admin.query(lines.alternatives[0]?.statements[0] ?? '')
    const again = await surveyAgain(surveyed.db)
    expect(proposalFor(again, 'invoice_lines').class).toBe('by parent')
  })

  it('leaves open whose rows of changing parents are', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table comments (id bigint primary key, commentable_type text, commentable_id bigint);`))
    expect(proposalFor(found, 'comments').alternatives[0]?.reason).toContain(
      'commentable_type says what',
    )
  })

  it('offers what people have for themselves, and it holds', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table users   (id bigint primary key, account_id bigint not null references accounts);
      create table drafts  (id bigint primary key, user_id bigint not null references users, body text);
      insert into accounts values (1); insert into users values (4, 1), (5, 1);
      insert into drafts values (1, 4, 'of 4'), (2, 5, 'of 5');`))
    const drafts = proposalFor(found, 'drafts')
    expect(drafts.statements[0]).toContain(`owner_from => '{user_id}'`)
    const [privately] = drafts.alternatives
    expect(privately?.reason).toBe(
      'each row private to its user, instead of shared within its account',
    )
    const mine = {
      ...found,
      proposals: found.proposals.map((each) =>
        each === drafts ? { ...each, statements: privately?.statements ?? [] } : each,
      ),
    }
    expect(await applied({ db: surveyed.db, found: mine })).toMatchObject({
      check: 'Nothing stands open.\n',
    })
    const env = { TENANTRY_SECRET: 'a secret of this test, which is long enough' }
    await cli(['keys', 'register'], { url: surveyed.db.url(), env })
    const login = await surveyed.db.role('app', { allow: 'user' })
    const seenBy = async (entity: string) =>
      (await cli(['sql', '--as', entity, 'select body from drafts'], { url: login.url, env })).out
    expect(await seenBy('user:4')).toMatch(/of 4[^]*\(1 row\)/)
    expect(await seenBy('user:5')).toMatch(/of 5[^]*\(1 row\)/)
    expect(await seenBy('account:1')).toContain('(0 rows)')
  })

  it('leaves references unchecked that cross owners already', async () => {
    const { found } = (surveyed = await surveyOf(`${accounts}
      create table templates (id bigint primary key, account_id bigint not null references accounts);
      create table letters   (id bigint primary key, account_id bigint not null references accounts,
                              template_id bigint references templates, answer_to bigint references letters);
      insert into accounts values (1), (2);
      insert into templates values (1, 1);
      insert into letters values (1, 1, 1, null), (2, 2, 1, null), (3, 2, null, 2);`))
    const letters = proposalFor(found, 'letters')
    expect(letters.statements).toEqual([
      `select tenantry.protect('public.letters', owner_column => 'account_id', owner_kind => 'account', unchecked_references => '{template_id}');`,
    ])
    expect(letters.notes.join()).toContain('of other owners in some rows')
    const { check } = await applied(surveyed)
    expect(check).toBe('Nothing stands open.\n')
  })

  it('does not take who made a row for its owner, nor an owner of another kind', async () => {
    const { found } = (surveyed = await surveyOf(b2b))
    const projects = proposalFor(found, 'projects')
    expect(projects.statements).toEqual([
      `select tenantry.protect('public.projects', owner_column => 'org_id', owner_kind => 'org', unchecked_references => '{created_by}');`,
    ])
    expect(projects.alternatives.map((each) => each.statements)).toEqual([
      [
        `select tenantry.protect('public.projects', owner_column => 'created_by', owner_kind => 'user', unchecked_references => '{org_id}');`,
      ],
    ])
    const files = proposalFor(found, 'files')
    expect(files.class).toBe('undecided')
    expect(files.alternatives.map((each) => each.reason)).toEqual([
      'once every row has an owner',
      'org_id references orgs',
    ])
  })

  it('leaves the other side of a tie unchecked, whichever side owns it', async () => {
    const { found } = (surveyed = await surveyOf(b2b))
    const ties = proposalFor(found, 'note_tags')
    expect(ties.statements).toEqual([
      `select tenantry.protect('public.note_tags', owner_from => '{note_id}', unchecked_references => '{tag_id}');`,
    ])
    expect(ties.alternatives[0]?.statements).toEqual([
      `select tenantry.protect('public.note_tags', owner_from => '{tag_id}', unchecked_references => '{note_id}');`,
    ])
  })

  it('offers that the people of a tenant work for it, and it holds', async () => {
    const { found } = (surveyed = await surveyOf(b2b))
    const members = proposalFor(found, 'org_members')
    const [asMembers] = members.alternatives
    expect(asMembers?.reason).toContain('make a user a member of an org')
    expect(asMembers?.statements).toEqual([
      `select tenantry.register_membership('public.org_members', member_column => 'user_id', member_kind => 'user', container_column => 'org_id', container_kind => 'org', role_column => 'role', roles => '{"*": ["select"]}');`,
      `select tenantry.protect('public.org_members', owner_column => 'org_id', owner_kind => 'org', unchecked_references => '{user_id}');`,
    ])
    const chosen = {
      ...found,
      proposals: found.proposals
        .filter((each) => each.table.name !== 'files')
        .map((each) =>
          each === members ? { ...each, statements: asMembers?.statements ?? [] } : each,
        ),
    }
    const { out } = await applied({ db: surveyed.db, found: chosen })
    expect(out).toContain('0 refused')
    const env = { TENANTRY_SECRET: 'a secret of this test, which is long enough' }
    await cli(['keys', 'register'], { url: surveyed.db.url(), env })
    const login = await surveyed.db.role('app', { allow: 'user' })
    const projectsOf = (...who: string[]) =>
      cli(['sql', ...who, 'select name from projects'], { url: login.url, env })
    expect((await projectsOf('--as', 'user:u1', '--for', 'org:1')).out).toMatch(/of 1[^]*\(1 row\)/)
    expect((await projectsOf('--as', 'user:u1', '--for', 'org:2')).err).toContain('TN004')
  })
})

/** People with text ids, organisations, and rows that name both. */
const b2b = `
  create table users       (id text primary key, email text);
  create table orgs        (id bigint primary key, name text);
  create table org_members (org_id bigint not null references orgs, user_id text not null references users,
                            role text not null, primary key (org_id, user_id));
  create table projects    (id serial primary key, org_id bigint not null references orgs, name text,
                            created_by text references users);
  create table files       (id bigint primary key, org_id bigint references orgs, user_id text references users);
  create table notes       (id bigint primary key, user_id text not null references users);
  create table keys        (id bigint primary key, user_id text not null references users);
  create table tags        (id bigint primary key, org_id bigint not null references orgs);
  create table note_tags   (note_id bigint references notes on delete cascade, tag_id bigint references tags,
                            primary key (note_id, tag_id));
  insert into users values ('u1', 'a'), ('u2', 'b');
  insert into orgs values (1, 'one'), (2, 'two');
  insert into org_members values (1, 'u1', 'viewer'), (2, 'u2', 'owner');
  insert into projects (org_id, name) values (1, 'of 1'), (2, 'of 2');
  insert into files values (1, 1, null);`
