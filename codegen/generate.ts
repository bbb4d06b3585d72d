import type { ClientBase } from 'pg'
import { buildModel } from './build-model.js'
import { emitDrizzle } from './emit/drizzle.js'
import { emitFile, importedNames } from './emit/file.js'
import { introspect, type IntrospectOptions } from './introspect.js'
import type { Snapshot } from './snapshot.js'

export interface GenerateOptions {
  /** Only these schemas; the first one's tables go by their bare names. */
  readonly schemas?: readonly string[]
  /** The application's role: what it may not do is not generated. Default: `tenantry_user`. */
  readonly role?: string
  /** camelCase properties. */
  readonly camel?: boolean
  /** Where the generated file imports the runtime from. Default: `tenantry`. */
  readonly runtime?: string
  /** Modules with Drizzle tables: what tenantry made on them is generated instead, for drizzle-kit push. */
  readonly drizzle?: readonly string[]
}

/** Reads the catalog and returns the text of the generated file. */
export async function generate(client: ClientBase, options: GenerateOptions = {}): Promise<string> {
  const snapshot = await introspect(client, snapshotOptions(options))
  return generateFrom(snapshot, options)
}

/** The same from a snapshot taken before. */
export function generateFrom(snapshot: Snapshot, options: GenerateOptions = {}): string {
  if (options.drizzle) return emitDrizzle(snapshot, options.drizzle)
  const defaultSchema = options.schemas?.[0]
  const model = buildModel(snapshot, {
    imported: importedNames,
    ...(defaultSchema !== undefined && { defaultSchema }),
    ...(options.camel !== undefined && { camel: options.camel }),
  })
  return emitFile(model, options.runtime === undefined ? {} : { runtime: options.runtime })
}

/** What has to be read for these options. */
export function snapshotOptions({ schemas, role }: GenerateOptions): IntrospectOptions {
  return { ...(schemas && { schemas }), ...(role !== undefined && { role }) }
}
