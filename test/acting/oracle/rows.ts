import { held, reached, type Context } from './model.js'
import type { Name, Privilege, Row } from './terms.js'
import type { World } from './world.js'

/** The tables themselves, or the views of everything one may reach. */
export type Path = 'own' | 'reach'

export interface Asker {
  readonly world: World
  readonly context: Context | null
  readonly path: Path
}

const refused = '42501'

/** Whether the owner or a container in `shared_by` lets the row be touched. */
function touches({ world, context, path }: Asker, privilege: Privilege, row: Row): boolean {
  if (path === 'own') {
    return context !== null && context.leaves.has(privilege) && row.owner === context.principal
  }
  const names = reached(world, context, privilege, row.table)
  return names.has(row.owner) || (row.room !== null && names.has(row.room))
}

export function sees(asker: Asker, row: Row): boolean {
  if (touches(asker, 'select', row)) return true
  return asker.path === 'reach' && row.isPublic && asker.context?.leaves.has('select') === true
}

/** Both paths alike: whoever puts a row into a container must reach it with insert. */
function mayShare({ world, context }: Asker, row: Row): boolean {
  return row.room === null || reached(world, context, 'insert', row.table).has(row.room)
}

export function insert(asker: Asker, row: Row): boolean {
  const { world, context, path } = asker
  const owned =
    path === 'own'
      ? touches(asker, 'insert', { ...row, room: null })
      : reached(world, context, 'insert', row.table).has(row.owner)
  return owned && mayShare(asker, row)
}

/** Inserts a row in another's name, and reads who it says inserted it. */
export function insertReturning(asker: Asker, row: Row): Name | typeof refused {
  const done = insert(asker, row) && sees(asker, row)
  return done && asker.context !== null ? asker.context.actor : refused
}

export function remove(asker: Asker, row: Row): string {
  return sees(asker, row) && touches(asker, 'delete', row) ? '1 rows' : '0 rows'
}

export function update(asker: Asker, row: Row, change: Partial<Row>): string {
  if (!sees(asker, row) || !touches(asker, 'update', row)) return '0 rows'
  const after = { ...row, ...change }
  // PostgreSQL: what an update leaves must be seen by who wrote it, where it had to look for it.
  if (!sees(asker, after) || !touches(asker, 'update', after)) return refused
  if (after.room !== row.room && !mayShare(asker, after)) return refused
  if (after.owner !== row.owner && !mayHandOver(asker, row, after.owner)) return refused
  return '1 rows'
}

function mayHandOver({ world, context }: Asker, row: Row, to: Name): boolean {
  return (
    held(world, context, 'delegate').has(row.owner) &&
    reached(world, context, 'insert', row.table).has(to)
  )
}
