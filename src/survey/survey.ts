import type { ClientBase } from 'pg'
import { introspect } from '../../codegen/introspect.js'
import type { RelationInfo } from '../../codegen/snapshot.js'
import { costOf } from './cost.js'
import { decideAll } from './decide.js'
import type { Decision } from './decision.js'
import { readDeclarations } from './declared.js'
import { readFacts, type Facts } from './facts.js'
import { findKinds, type NamedKinds } from './kinds.js'
import type { Proposal, Survey } from './model.js'
import { path } from './names.js'
import { changeOwner, ownershipOf, type Ownership } from './ownership.js'
import { allowForeignReferences } from './references.js'
import { schemaOf, type Schema } from './schema.js'
import { setupFor } from './setup.js'
import { viewProposals } from './views.js'
import { notesFor, warningsFor } from './warnings.js'

export interface SurveyOptions {
  /** Only these schemas; without it every schema but the system's and tenantry's own. */
  readonly schemas?: readonly string[]
  /** Kinds whose tables are named by hand, where the guess is wrong: `{ account: 'accounts' }`. */
  readonly kinds?: NamedKinds
  /** The login the application shall use from now on. Default: the tables' owner's name and `_runtime`. */
  readonly runtimeLogin?: string
  /** The role that gets tables a superuser owns today. Default: the database's name and `_owner`. */
  readonly owner?: string
}

/**
 * Looks at a database, without changing anything, and proposes how every table of it could be
 * isolated.
 */
export async function survey(client: ClientBase, options: SurveyOptions = {}): Promise<Survey> {
  const snapshot = await introspect(client, {
    ...(options.schemas ? { schemas: options.schemas } : {}),
    role: null,
    estimates: true,
  })
  const facts = await readFacts(client)
  const schema = schemaOf(snapshot, facts)
  const kinds = findKinds(schema, snapshot, options.kinds)
  const decisions = await allowForeignReferences(
    client,
    schema,
    await decideAll(client, schema, await readDeclarations(client), kinds),
  )
  const ownership = ownershipOf(schema, facts, options.owner)
  const setup = setupFor(schema, snapshot, facts, ownership, options.runtimeLogin)
  return {
    database: facts.database,
    kinds,
    proposals: decisions.map((decision) => proposal(decision, schema, facts, ownership)),
    views: viewProposals(decisions, facts),
    setup: setup.blocks,
    warnings: setup.warnings,
  }
}

function proposal(
  decision: Decision,
  schema: Schema,
  facts: Facts,
  ownership: Ownership,
): Proposal {
  const settled = decision.class === 'protected' || decision.class === 'exempt'
  return {
    table: decision.table,
    bytes: schema.bytesOf(decision.table),
    class: decision.class,
    reason: decision.reason,
    statements: [
      ...(settled ? [] : changeOwner(decision.table, ownership, facts)),
      ...decision.statements,
    ],
    alternatives: decision.alternatives,
    notes: notesFor(decision),
    warnings: warningsFor(decision, schema, facts),
    cost: costOf(decision, parentOf(decision, schema)),
  }
}

function parentOf(decision: Decision, schema: Schema): RelationInfo | null {
  const key = decision.table.foreignKeys.find((each) =>
    decision.statements.some((statement) => statement.includes(each.columns.join(','))),
  )
  const parent = key && schema.find(key.references)
  return parent && path(parent) !== path(decision.table) ? parent : null
}
