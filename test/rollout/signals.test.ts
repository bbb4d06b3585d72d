import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { refusal } from '../extension/support/stage.js'
import { anna, annaId, bert, bertId, library, type Library } from './support/library.js'

// What tells whose a row is, and what happens where nothing, too much, or nobody known does.

let on: Library

beforeAll(async () => {
  on = await library()
  await on.setUp.query(`
    create table members (room text, member uuid, bot boolean not null default false);
    insert into members values ('a', '${annaId}'), ('a', '${bertId}'), ('b', '${bertId}'), ('b', '${bertId}'),
      ('c', '${annaId}'), ('c', '${bertId}');
    update members set bot = true where room = 'c' and member = '${bertId}';
    create table aliases (alias text primary key, person uuid);
    insert into aliases values ('@anna', '${annaId}')`)
})

afterAll(() => on.drop())

let made = 0
/** A table with these rows, its rollout declared. */
async function table(columns: string, rows: string): Promise<string> {
  const name = `things_${++made}`
  await on.setUp.query(
    `create table ${name} (id int primary key${columns}); insert into ${name} values ${rows};
     select tenantry.rollout('${name}', 'owner_id', 'user', budget => 100)`,
  )
  return name
}

const signal = (name: string, rank: number, called: string, query: string) =>
  on.setUp.query(`select tenantry.rollout_signal('${name}', ${rank}, '${called}', ${query})`)

/** Key → owner and what decided, or why nothing did. */
async function decided(name: string): Promise<Record<string, string>> {
  await on.to(name, 'backfilled')
  const rows = await on.stored<{ id: number; what: string }>(
    `select t.id, coalesce(u.name || ' by ' || s.signal, q.reason) as what
       from ${name} t
       left join users u on u.id = t.owner_id
       left join tenantry.rollout_sources s on s.relation = '${name}'::regclass and s.number = t.tenantry_source
       left join tenantry.rollout_quarantine q on q.relation = '${name}'::regclass and q.key = array[t.id::text]`,
  )
  return Object.fromEntries(rows.map(({ id, what }) => [id, what]))
}

describe('ready-made signals', () => {
  test('a column', async () => {
    const name = await table(', by uuid', `(1, '${annaId}'), (2, null)`)
    await signal(name, 1, 'by', `tenantry.rollout_from_column('${name}', 'by')`)
    expect(await decided(name)).toEqual({ 1: 'Anna by by', 2: 'no signal' })
  })

  test('the parent, by its foreign key or by columns without one', async () => {
    const parent = await table(', by uuid', `(1, '${annaId}'), (2, '${bertId}'), (3, null)`)
    await signal(parent, 1, 'by', `tenantry.rollout_from_column('${parent}', 'by')`)
    await on.to(parent, 'backfilled')
    const name = await table(
      `, p int references ${parent}, q int`,
      '(1, 1, 2), (2, null, 2), (3, 3, 9)',
    )
    await signal(name, 1, 'p', `tenantry.rollout_from_parent('${name}', '{p}')`)
    await signal(
      name,
      2,
      'q',
      `tenantry.rollout_from_parent('${name}', '{q}', '${parent}', '{id}')`,
    )
    expect(await decided(name)).toEqual({ 1: 'Anna by p', 2: 'Bert by q', 3: 'no signal' })
  })

  test('the sole member of a container, whom a condition may single out', async () => {
    const name = await table(', room text', `(1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')`)
    await signal(
      name,
      1,
      'sole',
      `tenantry.rollout_from_member('${name}', 'room', 'members', 'room', 'member')`,
    )
    await signal(
      name,
      2,
      'human',
      `tenantry.rollout_from_member('${name}', 'room', 'members', 'room', 'member', 'not m.bot')`,
    )
    expect(await decided(name)).toEqual({
      1: 'no signal',
      2: 'Bert by sole',
      3: 'Anna by human',
      4: 'no signal',
    })
  })

  test('a path in json, an alias, a constant', async () => {
    const name = await table(
      ', doc jsonb, who text',
      `(1, '{"by": {"id": "${annaId}"}}', null), (2, '{}', '@anna'), (3, null, '@bert'), (4, '{"by": 7}', null)`,
    )
    await signal(name, 1, 'doc', `tenantry.rollout_from_json('${name}', 'doc', 'by', 'id')`)
    await signal(
      name,
      2,
      'alias',
      `tenantry.rollout_from_alias('${name}', 'who', 'aliases', 'alias', 'person')`,
    )
    await signal(
      name,
      3,
      'rest',
      `tenantry.rollout_from_constant('${name}', '${bert}', 't.who is not null')`,
    )
    expect(await decided(name)).toEqual({
      1: 'Anna by doc',
      2: 'Anna by alias',
      3: 'Bert by rest',
      4: 'no signal',
    })
  })
})

describe('what is not guessed', () => {
  test('signals of one rank that disagree, somebody unknown, and nobody: each with every candidate', async () => {
    const name = await table(
      ', a uuid, b uuid, c text',
      `(1, '${annaId}', '${bertId}', null), (2, '${annaId}', '${annaId}', null), (3, null, null, 'stranger'),
       (4, null, null, null), (5, '${annaId}', null, '${bertId}'), (6, null, null, '${bertId}')`,
    )
    await signal(name, 1, 'a', `tenantry.rollout_from_column('${name}', 'a')`)
    await signal(name, 1, 'b', `tenantry.rollout_from_column('${name}', 'b')`)
    await signal(name, 2, 'c', `tenantry.rollout_from_column('${name}', 'c')`)
    const result = await decided(name)
    expect(result).toMatchObject({
      1: 'conflict',
      3: 'unknown entity',
      4: 'no signal',
      5: 'Anna by a',
      6: 'Bert by c',
    })
    expect(result[2]).toMatch(/^Anna by [ab]$/)
    expect(
      await on.stored(
        `select key, candidates from tenantry.rollout_quarantine where relation = '${name}'::regclass order by key`,
      ),
    ).toEqual([
      {
        key: ['1'],
        candidates: [
          { owner: annaId, signal: 'a', rank: 1 },
          { owner: bertId, signal: 'b', rank: 1 },
        ],
      },
      { key: ['3'], candidates: [{ owner: 'stranger', signal: 'c', rank: 2 }] },
      { key: ['4'], candidates: [] },
    ])
  })

  test('a row that can be decided at the second look is left for it, not put into quarantine', async () => {
    const name = await table('', '(1), (2)')
    // What the filling asks first and the look at the rest asks then: another answer, as after a change in between.
    await on.setUp.query(
      `create sequence asked;
       create function later(id int) returns uuid language sql volatile
       return case when nextval('asked') > 1 and id = 1 then '${annaId}'::uuid end`,
    )
    await signal(name, 1, 'later', `'select t.id, public.later(t.id) from public.${name} t'`)
    const quarantined = () =>
      on.stored(`select key from tenantry.rollout_quarantine where relation = '${name}'::regclass`)
    await on.setUp.query(`select setval('asked', 1, false)`)
    await on.to(name, 'backfilled')
    expect(await on.stored(`select from ${name} where owner_id is null`)).toHaveLength(2)
    expect(await quarantined()).toEqual([{ key: ['2'] }])
    await on.to(name, 'verified')
    expect(await on.stored(`select id, owner_id from ${name} order by id`)).toEqual([
      { id: 1, owner_id: annaId },
      { id: 2, owner_id: null },
    ])
  })

  test('what somebody decides is noted, row by row, by rule, and as nobody’s', async () => {
    const name = await table(', kind text', `(1, 'x'), (2, 'x'), (3, 'y'), (4, 'z'), (5, 'z')`)
    await signal(name, 1, 'none', `tenantry.rollout_from_column('${name}', 'kind')`)
    await on.to(name, 'backfilled')
    const resolve = (call: string) =>
      on.setUp
        .query<{ n: string }>(`select tenantry.${call} as n`)
        .then(({ rows }) => Number(rows[0]!.n))
    expect(await resolve(`rollout_resolve_where('${name}', '${anna}', 't.kind = ''x''')`)).toBe(2)
    expect(await resolve(`rollout_resolve('${name}', '${bert}', '3')`)).toBe(1)
    expect(await resolve(`rollout_resolve('${name}', null, '4')`)).toBe(1)
    await on.to(name, 'verified')
    const [{ counts }] = (await on.stored(
      `select counts from tenantry.rollout_status where relation = '${name}'::regclass`,
    )) as [{ counts: unknown }]
    expect(counts).toMatchObject({
      rows: 5,
      owned: 3,
      quarantined: 1,
      exempt: 1,
      sources: { resolved: 3 },
    })
    for (const [call, what] of [
      [`rollout_resolve('${name}', '${anna}', '99', '1')`, /a row of .* is named by id$/],
      [`rollout_resolve('${name}', '${anna}', '99')`, /no row \{99\} of .* is in quarantine/],
      [
        `rollout_resolve('${name}', 'user:00000000-0000-4000-8000-00000000dead', '5')`,
        /cannot own rows/,
      ],
      [
        `rollout_resolve_where('${name}', '${anna}', 'true); drop table users; --')`,
        /not one expression/,
      ],
    ] as const) {
      const refused = await refusal(on.setUp.query(`select tenantry.${call}`))
      expect(refused).toMatchObject({
        code: 'TN011',
        message: expect.stringMatching(what) as string,
      })
      expect(refused.hint).not.toBe('')
    }
  })
})
