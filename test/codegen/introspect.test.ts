import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generate } from '../../codegen/generate.js'
import { introspect, type IntrospectOptions } from '../../codegen/introspect.js'
import type { RelationInfo, Snapshot } from '../../codegen/snapshot.js'
import { testDatabase, type TestDatabase, type TestRole } from '../support/database.js'

const schema = `
  create schema app;
  create function app.touch() returns trigger language plpgsql security definer
    as 'begin return new; end';
  create type app.span as range (subtype = date);
  create table app.parent (
    a integer, b text, c date default current_date,
    primary key (b, a),
    constraint positive check (a > 0),
    constraint apart exclude using btree (c with =)
  );
  create table app.child (
    id serial primary key,
    a integer, b text, self integer references app.child deferrable initially deferred,
    payload jsonb
  );
  alter table app.child add constraint parent_fk foreign key (b, a) references app.parent (b, a)
    match full on update cascade on delete set null not valid;
  create unique index child_lower on app.child (lower(b), a desc) include (payload)
    nulls not distinct where a > 1;
  create trigger touched before insert or update of a on app.child
    for each row execute function app.touch();
  create trigger counted after truncate on app.child
    for each statement execute function app.touch();
  alter table app.child disable trigger counted, enable row level security, force row level security;
  create policy mine on app.child as restrictive for update to public
    using (a = 1) with check (a = 2);
  create table app.parts (id integer, at date) partition by list (at);
  create table app.part_1 partition of app.parts for values in ('2026-01-01');
  create table app.heir () inherits (app.parent);
  create unlogged table app.fleeting (id integer);
  create materialized view app.summary as select count(*) as n from app.child;`

/** tenantry brings a type of its own. */
const ofApp = ({ types }: Snapshot) => types.filter((type) => type.schema === 'app')

describe('introspect', () => {
  let db: TestDatabase
  let owner: TestRole
  let snapshot: Snapshot

  const read = async (options: IntrospectOptions): Promise<Snapshot> => {
    const client = await db.admin.connect()
    return introspect(client, options).finally(() => client.release())
  }
  const relation = (name: string, of: Snapshot = snapshot): RelationInfo => {
    const found = of.relations.find((each) => each.name === name)
    if (!found) throw new Error(`no relation ${name}`)
    return found
  }

  beforeAll(async () => {
    db = await testDatabase()
    owner = await db.role('owner')
    const client = await db.admin.connect()
    await client.query(`grant create on database ${pg.escapeIdentifier(db.name)}
                        to ${pg.escapeIdentifier(owner.name)}`)
    await client.query(`set role ${pg.escapeIdentifier(owner.name)}`)
    await client.query(schema)
    await client.query('reset role')
    client.release()
    snapshot = await read({ schemas: ['app'], role: null })
  })
  afterAll(() => db.drop())

  // One committed file for all majors: equality with it is equality between them.
  it('gives the same bytes on every version of PostgreSQL, twice', async () => {
    const text = (of: Snapshot) =>
      `${JSON.stringify({ ...of, types: ofApp(of) }, null, 2).replaceAll(owner.name, 'owner')}\n`
    const again = await read({ schemas: ['app'], role: null })
    expect(JSON.stringify(again)).toBe(JSON.stringify(snapshot))
    await expect(text(snapshot)).toMatchFileSnapshot('golden/catalog.snapshot')
  })

  it('lists relations with what they are, without partitions', () => {
    expect(snapshot.relations.map(({ name, kind }) => [name, kind])).toEqual([
      ['child', 'table'],
      ['fleeting', 'table'],
      ['heir', 'table'],
      ['parent', 'table'],
      ['parts', 'partitioned'],
      ['summary', 'materialized view'],
    ])
    expect(relation('fleeting').persistence).toBe('unlogged')
    expect(relation('parts').partitionKey).toBe('LIST (at)')
    expect(relation('heir').inherits).toEqual([{ schema: 'app', name: 'parent' }])
    expect(relation('child')).toMatchObject({ owner: owner.name, privileges: null })
  })

  it('lists partitions and estimates when asked', async () => {
    await db.admin.query(`insert into app.parent values (1, 'x'); analyze app.parent`)
    const all = await read({ schemas: ['app'], role: null, partitions: true, estimates: true })
    expect(relation('part_1', all).partitionOf).toEqual({ schema: 'app', name: 'parts' })
    expect(relation('part_1', all).inherits).toEqual([])
    expect(relation('parent', all).estimatedRows).toBe(1)
    expect(relation('child', all).estimatedRows).toBe(-1)
    expect(relation('child').estimatedRows).toBeNull()
  })

  it('describes keys, references and constraints', () => {
    expect(relation('parent')).toMatchObject({
      primaryKey: { columns: ['b', 'a'], deferrable: false },
      checks: [{ name: 'positive', definition: 'CHECK ((a > 0))', validated: true }],
      exclusions: [{ name: 'apart', definition: 'EXCLUDE USING btree (c WITH =)' }],
    })
    expect(relation('child').foreignKeys).toEqual([
      {
        name: 'child_self_fkey',
        columns: ['self'],
        references: { schema: 'app', name: 'child', columns: ['id'] },
        onUpdate: 'no action',
        onDelete: 'no action',
        match: 'simple',
        deferrable: true,
        deferred: true,
        validated: true,
      },
      {
        name: 'parent_fk',
        columns: ['b', 'a'],
        references: { schema: 'app', name: 'parent', columns: ['b', 'a'] },
        onUpdate: 'cascade',
        onDelete: 'set null',
        match: 'full',
        deferrable: false,
        deferred: false,
        validated: false,
      },
    ])
  })

  it('describes indexes, with what is no column as null', () => {
    const index = relation('child').indexes.find(({ name }) => name === 'child_lower')
    expect(index).toMatchObject({
      method: 'btree',
      unique: true,
      primary: false,
      valid: true,
      nullsNotDistinct: true,
      columns: [null, 'a'],
      include: ['payload'],
      predicate: '(a > 1)',
      constraint: null,
    })
    expect(relation('child').indexes.find(({ primary }) => primary)).toMatchObject({
      columns: ['id'],
      include: [],
      constraint: 'child_pkey',
    })
  })

  it('describes triggers and policies', () => {
    const { triggers, policies, rowSecurity, forceRowSecurity } = relation('child')
    const touch = { function: { schema: 'app', name: 'touch' }, securityDefiner: true }
    expect(triggers).toMatchObject([
      { name: 'counted', timing: 'after', level: 'statement', events: ['truncate'], ...touch },
      { name: 'touched', timing: 'before', level: 'row', events: ['insert', 'update'], ...touch },
    ])
    expect(triggers.map(({ enabled }) => enabled)).toEqual(['disabled', 'origin'])
    expect(policies).toEqual([
      {
        name: 'mine',
        permissive: false,
        command: 'update',
        roles: ['public'],
        using: '(a = 1)',
        check: '(a = 2)',
      },
    ])
    expect([rowSecurity, forceRowSecurity]).toEqual([true, true])
  })

  it('describes columns: defaults, sequences, and types', () => {
    expect(relation('child').columns[0]).toMatchObject({
      name: 'id',
      type: { schema: 'pg_catalog', name: 'int4', array: false },
      default: `nextval('app.child_id_seq'::regclass)`,
      sequence: { schema: 'app', name: 'child_id_seq' },
      identity: null,
      privileges: null,
    })
    expect(ofApp(snapshot).map(({ kind, name }) => [kind, name])).toEqual([
      ['range', 'span'],
      ['multirange', 'span_multirange'],
    ])
  })

  it('counts privileges that come through membership, down to columns', async () => {
    const role = await db.role('member')
    const name = pg.escapeIdentifier(role.name)
    const group = pg.escapeIdentifier((await db.role('group')).name)
    await db.admin.query(`
      grant usage on schema app to ${group};
      grant select on app.child to ${group};
      grant insert (a) on app.child to public;
      grant ${group} to ${name}`)
    const { schemas, relations } = await read({ schemas: ['app'], role: role.name })
    const child = relations.find((each) => each.name === 'child')!
    expect(schemas).toMatchObject([{ name: 'app', usage: true }])
    expect(child.privileges).toMatchObject({ select: true, insert: false, delete: false })
    expect(child.columns.map(({ name, privileges }) => [name, privileges?.insert])).toEqual([
      ['id', false],
      ['a', true],
      ['b', false],
      ['self', false],
      ['payload', false],
    ])
  })

  it('leaves nothing behind in the session', async () => {
    const client = await db.admin.connect()
    const settings = `select current_setting('search_path') as path, current_setting('timezone') as zone`
    const before = await client.query(settings)
    await introspect(client, { role: null })
    expect((await client.query(settings)).rows).toEqual(before.rows)
    expect(client.getTransactionStatus()).toBe('I')
    await expect(introspect(client, { role: 'no such role' })).rejects.toThrow()
    expect(client.getTransactionStatus()).toBe('I')
    client.release()
  })

  it('says what to do when it cannot go on', async () => {
    const stranger = await db.role('stranger')
    const refusal = (code: string, message: string) => ({
      code,
      message: expect.stringContaining(message) as string,
    })
    const client = await db.admin.connect()
    await expect(generate(client, { role: stranger.name })).rejects.toMatchObject(
      refusal('NOTHING_TO_GENERATE', 'tenantry.protect'),
    )
    await expect(generate(client, { role: `no'body` })).rejects.toMatchObject(
      refusal('UNKNOWN_ROLE', '--role'),
    )
    await expect(generate(client, { schemas: ['no"where'] })).rejects.toMatchObject(
      refusal('UNKNOWN_SCHEMA', 'no schema'),
    )
    await client.query('begin')
    await expect(introspect(client)).rejects.toMatchObject(refusal('IN_TRANSACTION', 'commit'))
    await client.query('rollback')
    client.release()
    await db.admin.query('revoke usage on schema tenantry from public')
    await expect(introspect(await stranger.connect())).rejects.toMatchObject(
      refusal('REGISTRY_UNREADABLE', `tenantry.allow('${stranger.name}')`),
    )
  })
})
