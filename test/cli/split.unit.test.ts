import { describe, expect, it } from 'vitest'
import { readSteps, undecidedTables } from '../../src/cli/apply/file.js'
import { split, unquoted } from '../../src/cli/split.js'

describe('split', () => {
  it('knows strings, comments, function bodies and bytes from characters', async () => {
    const statements = await split(
      `-- é; no statement\nselect 'a;b' as "x;y"; /* ; */ do $$ begin perform 1; end $$;\n\n-- last\nselect 2`,
    )
    expect(statements.map((each) => each.text)).toEqual([
      `select 'a;b' as "x;y"`,
      'do $$ begin perform 1; end $$',
      'select 2',
    ])
    expect(statements.map((each) => each.line)).toEqual([2, 2, 5])
    expect(statements.map((each) => each.kind)).toEqual(['SelectStmt', 'DoStmt', 'SelectStmt'])
  })

  it('recognises calls of tenantry with their target', async () => {
    const statements = await split(
      `select tenantry.protect('public."stockMovements"', owner_column => 'accountId');
       select * from tenantry.share('countries'::regclass);
       select tenantry.initialise();
       select other.protect('x'); select 1;`,
    )
    expect(statements.map((each) => each.call)).toEqual([
      { name: 'protect', target: 'public."stockMovements"' },
      { name: 'share', target: 'countries' },
      { name: 'initialise', target: null },
      null,
      null,
    ])
  })

  it('knows what no transaction can hold', async () => {
    const statements = await split(
      `create index concurrently on t (a); create index on t (a); drop index concurrently i;
       call p(); vacuum t; select 'concurrently'`,
    )
    expect(statements.map((each) => each.alone)).toEqual([true, false, true, true, true, false])
  })

  it('finds nothing in a file of comments', async () => {
    expect(await split('-- nothing\n/* here */\n')).toEqual([])
  })

  it('says where the grammar stops and that nothing ran', async () => {
    await expect(split('select 1;\nselect from where;')).rejects.toMatchObject({
      code: 'SYNTAX',
      message: expect.stringContaining('line 2'),
      hint: 'Nothing was carried out.',
    })
  })

  it('takes quotes off names as PostgreSQL does', () => {
    expect(unquoted('public."stockMovements"')).toBe('public.stockMovements')
    expect(unquoted('Public.Orders')).toBe('public.orders')
    expect(unquoted('"a""b"."c.d"')).toBe('a"b.c.d')
  })
})

describe('a file to apply', () => {
  it('may not control transactions', async () => {
    await expect(readSteps('begin;\nselect 1;\ncommit;')).rejects.toMatchObject({
      code: 'TRANSACTION_CONTROL',
      message: expect.stringContaining('line 1'),
    })
  })

  it('is undecided where a mark has no statement', async () => {
    const sql = [
      '-- undecided: public.a',
      `-- select tenantry.share('public.a');`,
      '-- undecided: public.B',
      `select tenantry.exempt('public."B"', 'why');`,
    ].join('\n')
    expect(undecidedTables(sql, await readSteps(sql))).toEqual(['public.a'])
  })
})
