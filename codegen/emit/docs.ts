import type { JSDocStructure, OptionalKind } from 'ts-morph'
import type { ColumnModel, TableModel } from '../model.js'

/** Paragraphs as one JSDoc block; empty ones are dropped. */
export function docs(...paragraphs: (string | null)[]): OptionalKind<JSDocStructure>[] {
  const text = paragraphs
    .filter((paragraph) => paragraph !== null && paragraph.trim() !== '')
    .map((paragraph) => safe(paragraph!))
    .join('\n\n')
  return text === '' ? [] : [{ description: text.includes('\n') ? `\n${text}` : text }]
}

/** The comment, then the type as PostgreSQL knows it, its default and where values come from. */
export function columnDocs(column: ColumnModel): OptionalKind<JSDocStructure>[] {
  const facts = [
    code(column.sqlType),
    column.default === null ? null : `default ${code(column.default)}`,
    column.origin,
  ]
  return docs(column.comment, facts.filter((fact) => fact !== null).join(', '))
}

/** `schema.table` and what kind of relation it is. */
export function relationName(table: TableModel): string {
  return `${table.kind === 'partitioned' ? 'partitioned table' : table.kind} ${code(`${table.schema}.${table.name}`)}`
}

function code(text: string): string {
  return `\`${text.replaceAll('`', "'").replace(/\s+/g, ' ')}\``
}

/**
 * A comment must not be able to end the block it stands in, nor to become a tag; carriage returns
 * and stray controls would make the bytes depend on who wrote the comment where.
 */
function safe(text: string): string {
  return (
    text
      .replace(/\r\n?/g, '\n')
      .replace(/[\u2028\u2029]/g, '\n')
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ')
      .replaceAll('*/', '*\u200b/')
      .replace(/(^|\n)(\s*)@/g, '$1$2\\@')
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n')
      .trim()
  )
}
