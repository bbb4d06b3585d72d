import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../cli/cli.js'
import { fullLength } from '../support/full-length.js'
import { documented, project, type Project } from './support/project.js'

const schema = (changes: { project?: string; more?: string } = {}): string => `
import { bigint, boolean, index, integer, numeric, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'

export const users = pgTable('users', {
  id: uuid('id').primaryKey().defaultRandom(),
  email: text('email').notNull().unique(),
})
export const projects = pgTable('projects', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  ownerId: uuid('owner_id').notNull().references(() => users.id),
  name: text('name').notNull(),
  apiKey: text('api_key'),
  ${changes.project ?? ''}
}, (t) => [index('by_name').on(t.name)])
export const tasks = pgTable('tasks', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  projectId: bigint('project_id', { mode: 'number' }).notNull().references(() => projects.id),
  title: text('title').notNull(),
})
export const orgs = pgTable('orgs', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedByDefaultAsIdentity(),
  ownerId: uuid('owner_id').notNull().references(() => users.id),
})
export const members = pgTable('members', {
  orgId: bigint('org_id', { mode: 'number' }).notNull().references(() => orgs.id),
  userId: uuid('user_id').notNull().references(() => users.id),
}, (t) => [primaryKey({ columns: [t.orgId, t.userId] })])
export const posts = pgTable('posts', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  authorId: uuid().notNull().references(() => users.id),
  orgId: bigint({ mode: 'number' }).references(() => orgs.id),
  isPublic: boolean().notNull().default(false),
})
export const bills = pgTable('bills', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  orgId: bigint('org_id', { mode: 'number' }).notNull().references(() => orgs.id),
  amount: numeric('amount', { precision: 10, scale: 2 }).notNull(),
})
export const countries = pgTable('countries', { code: text('code').primaryKey(), name: text('name').notNull() })
${changes.more ?? ''}`

const invoices = `export const invoices = pgTable('invoices', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  ownerId: uuid('owner_id').notNull().references(() => users.id),
})`

describe('drizzle-kit, as an owner who knows nothing of tenantry', () => {
  let at: Project
  const kit = (...args: string[]) => at.run('drizzle-kit', ...args)
  const block = async (...more: string[]) => {
    const out = join(at.folder, 'tenantry.drizzle.ts')
    return cli(['generate', '--drizzle', './schema', '--out', out, ...more], { url: at.db.url() })
  }

  beforeAll(async () => {
    at = await project()
    at.write('drizzle.config.ts', documented('migrate'))
    at.write('drizzle.push.ts', documented('push'))
    at.write('schema.ts', schema())
    await kit('generate', '--name=first')
    await kit('migrate')
    await at.protect()
    expect(await at.stillProtected()).toEqual([])
  })
  afterAll(() => at.drop())

  it('push wants to take the protection away where nobody declares it: the control', async () => {
    // It asks before it does so, and nobody answers.
    at.write(
      'drizzle.careless.ts',
      documented('push')
        .replace('./tenantry.drizzle.ts', './schema.ts')
        .replace('})', '  strict: true,\n})'),
    )
    const said = await kit('push', '--config=drizzle.careless.ts', '--verbose').catch(
      (error: Error) => error.message,
    )
    for (const statement of [
      'ALTER TABLE "projects" DISABLE ROW LEVEL SECURITY',
      'ALTER TABLE "projects" ALTER COLUMN "owner_id" DROP DEFAULT',
      'DROP INDEX "projects_tenantry_owner_idx"',
      'DROP POLICY "tenantry_select" ON "projects"',
      'ALTER TABLE "tasks" DROP CONSTRAINT "tasks_tenantry_owner_fkey"',
      'ALTER TABLE "tasks" DROP COLUMN "owner_id"',
      'ALTER TABLE "projects" DROP COLUMN "api_key_index"',
    ]) {
      expect(said).toContain(statement)
    }
    expect(await at.stillProtected()).toEqual([])
  })

  it('push without the block is refused before it has done anything', async () => {
    at.write('drizzle.rash.ts', documented('push').replace('./tenantry.drizzle.ts', './schema.ts'))
    await expect(kit('push', '--config=drizzle.rash.ts', '--force')).rejects.toThrow(
      /is protected by tenantry/,
    )
    expect(await at.stillProtected()).toEqual([])
  })

  it('push is quiet with the generated block', async () => {
    expect(await block()).toMatchObject({ code: 0 })
    expect(await kit('push', '--config=drizzle.push.ts')).toContain('No changes detected')
    expect(await block('--check')).toMatchObject({ code: 0 })
    expect(await at.stillProtected()).toEqual([])
  })

  if (fullLength) {
    it('the block compiles as strictly as an application does', async () => {
      const strict = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes']
      const modules = ['--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022']
      await at.run(
        'tsc',
        '--noEmit',
        '--skipLibCheck',
        ...strict,
        ...modules,
        'tenantry.drizzle.ts',
      )
    })
  }

  it('push adds and drops columns and tables of a protected schema', async () => {
    at.write(
      'schema.ts',
      schema({ project: `stars: integer('stars').notNull().default(0),`, more: invoices }),
    )
    const said = await kit('push', '--config=drizzle.push.ts', '--force', '--verbose')
    expect(said).toContain('Changes applied')
    expect(said).not.toMatch(/tenantry_|ROW LEVEL/)
    expect(await at.stillProtected()).toEqual(['table_undeclared public.invoices'])
    await at.closed('invoices')
    for (const path of ['public', 'tenant', 'reach']) {
      expect(await at.as('alice', `select stars from ${path}.projects`), path).toEqual([
        { stars: 0 },
      ])
    }
    at.write('schema.ts', schema())
    expect(await kit('push', '--config=drizzle.push.ts', '--force')).toContain('Changes applied')
    expect(await at.stillProtected()).toEqual([])
    expect(await kit('push', '--config=drizzle.push.ts')).toContain('No changes detected')
  })

  it('generate and migrate see nothing of tenantry, and change what they say', async () => {
    at.write('schema.ts', schema({ project: `stars: integer('stars').notNull().default(0),` }))
    await kit('generate', '--name=stars')
    await kit('generate', '--custom', '--name=rename')
    const folder = join(at.folder, 'drizzle')
    const file = readdirSync(folder).find((name) => name.endsWith('rename.sql'))!
    // What a person answers when generate asks whether a column was renamed, and a change of rows.
    writeFileSync(
      join(folder, file),
      `alter table projects rename column stars to likes;--> statement-breakpoint
      alter table projects rename column owner_id to user_id;--> statement-breakpoint
      alter table projects rename column user_id to owner_id;--> statement-breakpoint
      update projects set likes = 1;`,
    )
    await kit('migrate')
    expect(await at.stillProtected()).toEqual([])
    for (const path of ['public', 'tenant', 'reach']) {
      expect(await at.as('bob', `select likes from ${path}.projects`), path).toEqual([{ likes: 1 }])
    }
  })
})
