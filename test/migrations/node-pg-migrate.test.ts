import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { project, tables, type Project } from './support/project.js'

describe('node-pg-migrate, as an owner who knows nothing of tenantry', () => {
  let at: Project
  const migrate = (...args: string[]) => at.run('node-pg-migrate', ...args)

  beforeAll(async () => {
    at = await project()
    at.write('package.json', '{"type": "module"}')
    at.write(
      'migrations/1700000000001_first.js',
      `export const up = (pgm) => pgm.sql(${JSON.stringify(tables)})`,
    )
    await migrate('up')
    await at.protect()
    await at.db.admin.query(
      `select tenantry.exempt('pgmigrations', 'what node-pg-migrate has run')`,
    )
    expect(await at.stillProtected()).toEqual([])
  })
  afterAll(() => at.drop())

  it('adds, renames and drops columns, makes a table, changes rows; and takes it all back', async () => {
    at.write(
      'migrations/1700000000002_more.js',
      `
      export const up = (pgm) => {
        pgm.addColumns('projects', { stars: { type: 'integer', notNull: true, default: 0 }, note: 'text' })
        pgm.renameColumn('projects', 'stars', 'likes')
        pgm.dropColumns('projects', ['note'])
        pgm.addIndex('projects', 'likes')
        pgm.sql('update projects set likes = 1')
        pgm.createTable('invoices', { id: 'id', owner_id: { type: 'uuid', notNull: true, references: 'users' } })
      }
      export const down = (pgm) => {
        pgm.dropTable('invoices')
        pgm.dropColumns('projects', ['likes'])
      }`,
    )
    await migrate('up')
    expect(await at.stillProtected()).toEqual(['table_undeclared public.invoices'])
    await at.closed('invoices')
    for (const path of ['public', 'tenant', 'reach']) {
      expect(await at.as('alice', `select likes from ${path}.projects`), path).toEqual([
        { likes: 1 },
      ])
    }
    await migrate('down')
    expect(await at.stillProtected()).toEqual([])
    await migrate('up')
    expect(await at.stillProtected()).toEqual(['table_undeclared public.invoices'])
  })

  it('notes what it has run in a table that is closed to the application from its birth on', async () => {
    at.write(
      'later/1700000000009_later.js',
      `export const up = (pgm) => pgm.sql('update projects set name = name')`,
    )
    await migrate('up', '-m', 'later', '-t', 'later_migrations')
    await at.closed('later_migrations')
    const { rows } = await at.db.admin.query('select name from later_migrations')
    expect(rows).toEqual([{ name: '1700000000009_later' }])
  })
})
