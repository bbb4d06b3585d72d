import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { project, tables, type Project } from './support/project.js'

describe('knex, as an owner who knows nothing of tenantry', () => {
  let at: Project
  const knex = (...args: string[]) => at.run('knex', ...args)

  beforeAll(async () => {
    at = await project()
    at.write('package.json', '{"type": "module"}')
    at.write(
      'knexfile.js',
      `export default { client: 'pg', connection: process.env.DATABASE_URL, migrations: { directory: './migrations' } }`,
    )
    at.write(
      'migrations/1_first.js',
      `export const up = (knex) => knex.raw(${JSON.stringify(tables)})\nexport const down = () => undefined`,
    )
    await knex('migrate:latest')
    await at.protect()
    for (const table of ['knex_migrations', 'knex_migrations_lock']) {
      await at.db.admin.query(`select tenantry.exempt('${table}', 'what Knex has run')`)
    }
    expect(await at.stillProtected()).toEqual([])
  })
  afterAll(() => at.drop())

  it('adds, renames and drops columns, makes a table, changes rows; and takes it all back', async () => {
    at.write(
      'migrations/2_more.js',
      `export async function up(knex) {
        await knex.schema.alterTable('projects', (t) => {
          t.integer('stars').notNullable().defaultTo(0)
          t.text('note')
        })
        await knex.schema.alterTable('projects', (t) => {
          t.renameColumn('stars', 'likes')
          t.dropColumn('note')
        })
        await knex.schema.alterTable('projects', (t) => { t.string('name', 200).notNullable().alter() })
        await knex('projects').update({ likes: 1 })
        await knex.schema.createTable('invoices', (t) => {
          t.increments()
          t.uuid('owner_id').notNullable().references('users.id')
        })
      }
      export async function down(knex) {
        await knex.schema.dropTable('invoices')
        await knex.schema.alterTable('projects', (t) => { t.dropColumn('likes') })
      }`,
    )
    await knex('migrate:latest')
    expect(await at.stillProtected()).toEqual(['table_undeclared public.invoices'])
    await at.closed('invoices')
    for (const path of ['public', 'tenant', 'reach']) {
      expect(await at.as('alice', `select likes from ${path}.projects`), path).toEqual([
        { likes: 1 },
      ])
    }
    await knex('migrate:rollback')
    expect(await at.stillProtected()).toEqual([])
  })
})
