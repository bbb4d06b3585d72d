import { afterEach, describe, expect, it } from 'vitest'
import { render } from '../../src/survey/index.js'
import { cli } from './cli.js'
import { accounts, classes, proposalFor, surveyOf, type Surveyed } from './surveyed.js'

let surveyed: Surveyed

afterEach(() => surveyed.db.drop())

describe('kinds', () => {
  it('takes the table of tenants that most tables point at, and the people in it', async () => {
    const { found } = (surveyed = await surveyOf(`
      create table companies (id uuid primary key);
      create table users     (id uuid primary key, company_id uuid not null references companies);
      create table customers (id uuid primary key, company_id uuid not null references companies);
      create table invoices  (id uuid primary key, company_id uuid not null references companies,
                              customer_id uuid references customers);`))
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
    const { found } = (surveyed = await surveyOf(`
      create table users  (id integer generated always as identity primary key);
      create table agents (id uuid primary key, owner_id integer not null references users);
      create table notes  (id bigint primary key, user_id integer not null references users);`))
    expect(found.kinds.map((kind) => kind.kind)).toEqual(['user', 'agent'])
    expect(render(found)).toContain('or, if an agent works on the data of its user')
    expect(proposalFor(found, 'notes').statements).toEqual([
      `select tenantry.protect('public.notes', owner_column => 'user_id', owner_kind => 'user');`,
    ])
  })

  it('keeps organisations beside people, each with rows of their own', async () => {
    const { found } = (surveyed = await surveyOf(`
      create table orgs    (id uuid primary key, webhook_secret text);
      create table users   (id uuid primary key, org_id uuid references orgs);
      create table notes   (id uuid primary key, user_id uuid not null references users);
      create table files   (id uuid primary key, user_id uuid not null references users);
      create table badges  (id uuid primary key, org_id uuid not null references orgs);`))
    expect(found.kinds.map(({ kind }) => kind).sort()).toEqual(['org', 'user'])
    expect(Object.values(classes(found))).not.toContain('undecided')
    expect(proposalFor(found, 'badges').statements[0]).toContain(`owner_kind => 'org'`)
  })

  it('can be named by hand, and says which table it does not know', async () => {
    const { found } = (surveyed = await surveyOf(
      `create table gardens (id bigint primary key);
       create table plants  (id bigint primary key, garden_id bigint not null references gardens);`,
      { kinds: { garden: 'gardens' } },
    ))
    expect(classes(found)).toEqual({ gardens: 'owned', plants: 'owned' })
    const unknown = await cli(['survey', '--kind', 'x=nothing'], { url: surveyed.db.url() })
    expect(unknown).toMatchObject({
      code: 1,
      err: expect.stringContaining('There is no table nothing'),
    })
    const malformed = await cli(['survey', '--kind', 'x'], { url: surveyed.db.url() })
    expect(malformed).toMatchObject({ code: 1, err: expect.stringContaining('kind=table') })
  })

  it('are asked for where no table looks like one', async () => {
    const { found } = (surveyed = await surveyOf(
      `create table stars (id bigint primary key, email text);`,
    ))
    expect(found.kinds).toEqual([])
    expect(classes(found)).toEqual({ stars: 'undecided' })
    expect(render(found)).toContain('tenantry survey --kind account=accounts')
  })

  it('that are registered are kept', async () => {
    surveyed = await surveyOf(
      `${accounts} create table notes (id bigint primary key, account_id bigint not null);`,
    )
    await surveyed.db.admin.query(`select tenantry.register_kind('customer', 'accounts')`)
    const { out } = await cli(['survey'], { url: surveyed.db.url() })
    expect(out).toContain(`\nselect tenantry.register_kind('customer', 'public.accounts'`)
    expect(out).toContain(`owner_column => 'account_id', owner_kind => 'customer'`)
  })
})
