import type { PolicyInfo, RelationInfo, TriggerInfo } from '../../codegen/snapshot.js'
import type { Decision } from './decision.js'
import { ledByIndex } from './cost.js'
import type { Facts } from './facts.js'
import { path, qualified, words } from './names.js'
import type { Schema } from './schema.js'

/** What whoever carries a decision out should know of the table beforehand. */
export function warningsFor(decision: Decision, schema: Schema, facts: Facts): string[] {
  const { table } = decision
  const isolated = decision.owned !== null && decision.class !== 'protected'
  return [
    ...(table.persistence === 'unlogged'
      ? [
          `it is unlogged and would be empty on a standby: alter table ${qualified(table)} set logged;`,
        ]
      : []),
    ...(table.primaryKey === null
      ? ['it has no primary key: rows can only be changed by what they contain']
      : []),
    ...(isolated ? table.policies.map((policy) => policyWarning(table, policy)) : []),
    ...table.triggers.flatMap((trigger) => triggerWarning(table, trigger, schema, facts)),
    ...defaultWarnings(table, facts),
    ...(isolated ? uniqueWarnings(decision) : []),
    ...table.inherits.map(
      (parent) => `it inherits from ${path(parent)}: that table shows its rows too`,
    ),
  ]
}

/** What will be done beyond the statement itself, for the comment above it. */
export function notesFor(decision: Decision): string[] {
  const { table, owned } = decision
  const notes = [...decision.notes]
  if (decision.class === 'owned' && owned?.ownerColumn && !ledByIndex(table, owned.ownerColumn)) {
    notes.push(`no index begins with ${owned.ownerColumn}: one is created`)
  }
  if (decision.class === 'by parent' || decision.class === 'many-to-many') {
    notes.push(
      'the owner column is added, filled from the parent and tied to it by a composite key',
    )
  }
  const open = table.columns.find(
    (column) =>
      /^(is_)?(public|published|shared|template)$/.test(words(column.name).join('_')) &&
      column.type.name === 'bool',
  )
  if (owned && open) {
    notes.push(`${open.name} rows are seen by their owner only, here as everywhere on the own path`)
  }
  return notes
}

function policyWarning(table: RelationInfo, policy: PolicyInfo): string {
  const bound = table.forceRowSecurity
    ? ''
    : `; it has not bound ${table.owner}, which owns the table, and binds the new login from now on`
  if (policy.permissive) {
    return `permissive policy ${policy.name}: it cannot widen what tenantry allows, so it is only a cost: drop policy ${policy.name} on ${qualified(table)};`
  }
  const hidesDeleted =
    (policy.command === 'select' || policy.command === 'all') &&
    words(policy.using ?? '').some((word) => word === 'deleted' || word === 'archived')
  return (
    `restrictive policy ${policy.name} narrows further${bound}` +
    (hidesDeleted
      ? '. A row may not be updated into one that the policy hides (42501): where the application deletes softly, keep this condition in its queries instead'
      : '')
  )
}

function triggerWarning(
  table: RelationInfo,
  trigger: TriggerInfo,
  schema: Schema,
  facts: Facts,
): string[] {
  const fn = facts.functions.get(path(trigger.function))
  if (!fn || trigger.enabled === 'disabled') return []
  const written = writtenBy(fn.source, schema).filter((other) => other !== table)
  const names = written.map((other) => other.name).join(', ')
  if (fn.securityDefiner) {
    return [
      `trigger ${trigger.name} runs ${path(fn)} as ${fn.owner}${names ? ` and writes ${names}` : ''}: ` +
        `row security binds ${fn.owner} too once the tables are protected, so make it security invoker`,
    ]
  }
  return written.length === 0
    ? []
    : [
        `trigger ${trigger.name} writes ${names}: it runs as the application's login and needs the same owner there`,
      ]
}

/** Tables a function names behind insert, update, delete, merge or truncate. */
function writtenBy(source: string, schema: Schema): RelationInfo[] {
  const targets = new Set<string>()
  const pattern =
    /\b(?:insert\s+into|update(?:\s+only)?|delete\s+from(?:\s+only)?|merge\s+into|truncate(?:\s+table)?)\s+((?:"(?:[^"]|"")+"|\w+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|\w+))?)/gi
  for (const match of source.matchAll(pattern)) {
    const name = (match[1] ?? '').split('.').at(-1)?.trim() ?? ''
    targets.add(name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase())
  }
  return schema.tables.filter((table) => targets.has(table.name))
}

/** Column defaults that call functions of the application's own. */
function defaultWarnings(table: RelationInfo, facts: Facts): string[] {
  return table.columns.flatMap((column) => {
    const text = column.default ?? ''
    const called = [...facts.functions.values()].find((fn) =>
      new RegExp(`(^|[^\\w"])("?${escape(fn.schema)}"?\\.)?"?${escape(fn.name)}"?\\s*\\(`).test(
        text,
      ),
    )
    return called
      ? [
          `the default of ${column.name} calls ${path(called)}, which runs as the application's login`,
        ]
      : []
  })
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Unique keys over columns a person chooses, without the owner in them: they tell whether somebody has a value. */
function uniqueWarnings(decision: Decision): string[] {
  const { table, owned } = decision
  if (!owned?.ownerColumn) return []
  const generated = (name: string | null) => {
    const column = table.columns.find((each) => each.name === name)
    return column?.identity != null || column?.sequence != null || column?.type.name === 'uuid'
  }
  const referenced = new Set(table.foreignKeys.flatMap((key) => key.columns))
  return table.indexes
    .filter(
      (index) =>
        index.unique &&
        // Ids are made up by programs, not chosen by people.
        !(index.primary && index.columns.length === 1) &&
        !index.columns.includes(owned.ownerColumn) &&
        !index.columns.some(generated) &&
        !index.columns.every((name) => name !== null && referenced.has(name)),
    )
    .map(
      (index) =>
        `${index.name} is unique across owners: an insert that fails tells that somebody else has the value`,
    )
}
