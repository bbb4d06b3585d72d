import { inject } from 'vitest'
import { databaseOn, type TestDatabase, type TestDatabaseOptions } from './database/clone.js'
import type { ServerDescription } from './server/types.js'

export type { TestDatabase, TestDatabaseOptions } from './database/clone.js'
export type { RoleOptions, TestRole } from './database/role.js'
export { acceptServer } from './database/template.js'
export type { Template } from './database/template.js'
export { assertOrdinaryRole, NotAnOrdinaryRole } from './guard.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** The server of the running project, started by global-setup.ts. */
    server: ServerDescription
  }
}

/** Clones a template on the server of the running vitest project (pg15 or pg18). */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  return databaseOn(inject('server'), options)
}
