import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import type { TestDatabase } from '../../support/database.js'
import { testDatabase } from '../../support/database.js'

const folder = join(import.meta.dirname, '..', 'golden')

/** The committed output of the generator for schema.sql and protect.sql beside it. */
export const goldenFile = join(folder, 'tenantry.generated.ts')

/** How it is generated: two schemas, and the runtime taken from the sources. */
export const goldenOptions = {
  schemas: ['public', 'billing'],
  runtime: '../../../src/index.js',
} as const

/** A database with the golden schema, protected. `seed` runs before protection, as the owner. */
export async function goldenDatabase(seed = ''): Promise<TestDatabase> {
  const db = await testDatabase()
  const owner = pg.escapeIdentifier((await db.role('owner')).name)
  const admin = await db.admin.connect()
  try {
    await admin.query(`grant create on schema public to ${owner};
                       grant create on database ${pg.escapeIdentifier(db.name)} to ${owner};
                       set role ${owner}`)
    await admin.query(readFileSync(join(folder, 'schema.sql'), 'utf8'))
    if (seed) await admin.query(seed)
    await admin.query('reset role')
    await admin.query(readFileSync(join(folder, 'protect.sql'), 'utf8'))
  } finally {
    admin.release()
  }
  return db
}
