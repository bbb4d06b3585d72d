import { mayAdd, mayChange, mayGive, mayRevoke, type Context } from './model.js'
import { insert, insertReturning, remove, sees, update, type Asker, type Path } from './rows.js'
import type { Statements } from './statements.js'
import { tables, type Attempt, type Graph, type Joining, type Name } from './terms.js'
import type { World } from './world.js'

export interface Question {
  readonly label: string
  readonly sql: string
  /** How many yes or no it asks for. */
  readonly decisions: number
  /** What the model says; several where the text leaves open which of several errors comes first. */
  expected(world: World, context: Context | null): readonly string[]
}

const paths: readonly Path[] = ['own', 'reach']

/** Everything that each identity is asked in a graph. */
export function questionsOf(
  graph: Graph,
  statements: Statements,
  ids: readonly (string | null)[],
): Question[] {
  const joined = graph.steps.flatMap((step) => (step.do === 'join' ? [step] : []))
  return [
    ...paths.flatMap((path) => readings(graph, path)),
    ...graph.attempts.flatMap((attempt) => tried(graph, statements, joined, ids, attempt)),
  ]
}

function relationOf(path: Path, table: string): string {
  return path === 'own' ? `public.${table}` : `reach.${table}`
}

function readings(graph: Graph, path: Path): Question[] {
  return tables.map((table) => {
    const relation = relationOf(path, table)
    const rows = graph.rows.flatMap((row, i) => (row.table === table ? [{ row, id: i + 1 }] : []))
    return {
      label: `rows of ${relation}`,
      sql: `select string_agg(id::text, ',' order by id) from ${relation}`,
      decisions: rows.length,
      expected: (world, context) => [
        rows
          .filter(({ row }) => sees({ world, context, path }, row))
          .map(({ id }) => id)
          .join(),
      ],
    }
  })
}

function tried(
  graph: Graph,
  statements: Statements,
  joined: readonly Joining[],
  ids: readonly (string | null)[],
  attempt: Attempt,
): Question[] {
  const label = JSON.stringify(attempt)
  switch (attempt.do) {
    case 'join':
      return [
        {
          label,
          sql: statements.join(1000, attempt),
          decisions: 1,
          expected: (world, context) => [mayAdd(world, context, attempt) ? '1 rows' : '42501'],
        },
      ]
    case 'revoke': {
      const gifts = graph.steps.filter((step) => step.do === 'delegate')
      const given = ids.flatMap((id, number) => (id === null ? [] : [{ id, number }]))
      const one = given[attempt.nth % given.length]
      if (one === undefined) return []
      return [
        {
          label: `revoke of ${JSON.stringify(gifts[one.number])}`,
          sql: `select tenantry.revoke('${one.id}') > 0`,
          decisions: 1,
          expected(world, context) {
            if (context === null) return ['TN001']
            const delegation = world.delegations[one.number]
            if (delegation == null || endedAbove(world, one.number)) return ['TN004']
            return [mayRevoke(world, context, one.number) ? 'true' : 'TN004']
          },
        },
      ]
    }
    case 'change role':
    case 'remove member':
    case 'move':
      return memberChange(graph, statements, joined, attempt)
    case 'delegate':
      return [
        {
          label,
          sql: statements.delegate(attempt),
          decisions: 1,
          expected(world, context) {
            const { refusals, parents } = mayGive(world, context, attempt)
            return parents.length > 0 ? ['given'] : refusals
          },
        },
      ]
    default:
      return paths.flatMap((path) => rowAttempt(graph, statements, path, attempt))
  }
}

function memberChange(
  graph: Graph,
  statements: Statements,
  joined: readonly Joining[],
  attempt: Extract<Attempt, { do: 'change role' | 'move' | 'remove member' }>,
): Question[] {
  if (joined.length === 0) return []
  const index = attempt.nth % joined.length
  const joining = joined[index] as Joining
  const answer = (world: World, may: boolean | null) => {
    if (world.memberships[index]?.left) return ['0 rows']
    if (may === null) return ['1 rows', '42501']
    return [may ? '1 rows' : '42501']
  }
  if (attempt.do === 'remove member') {
    const sql = statements.leave(index + 1, joining.table)
    const label = `removal of ${JSON.stringify(joining)}`
    return [{ label, sql, decisions: 1, expected: (world) => answer(world, true) }]
  }
  if (attempt.do === 'change role') {
    const { role } = attempt
    return [
      {
        label: `${JSON.stringify(attempt)} of ${JSON.stringify(joining)}`,
        sql: statements.changeRole(index + 1, joining, role),
        decisions: 1,
        expected: (world, context) => answer(world, mayChange(world, context, index, { role })),
      },
    ]
  }
  const kind = joining.table.startsWith('org') ? 'org' : 'room'
  const among = graph.entities.map(({ name }) => name).filter((name) => name.startsWith(kind))
  const container = among[attempt.other % among.length] as Name
  return [
    {
      label: `move of ${JSON.stringify(joining)} to ${container}`,
      sql: statements.move(index + 1, joining.table, container),
      decisions: 1,
      expected: (world, context) => answer(world, mayChange(world, context, index, { container })),
    },
  ]
}

function rowAttempt(
  graph: Graph,
  statements: Statements,
  path: Path,
  attempt: Extract<Attempt, { row: number } | { do: 'insert' }>,
): Question[] {
  const row = attempt.do === 'insert' ? attempt : graph.rows[attempt.row]
  if (row === undefined) throw new Error('no such row')
  const relation = relationOf(path, row.table)
  const ask = (sql: string, expected: (asker: Asker) => string): Question => ({
    label: `${path} path: ${JSON.stringify(attempt)} of ${JSON.stringify(row)}`,
    sql,
    decisions: 1,
    expected: (world, context) => [expected({ world, context, path })],
  })
  if (attempt.do === 'insert') {
    const sql = statements.row(relation, 1000, row)
    const plain = ask(sql, (asker) => (insert(asker, row) ? '1 rows' : '42501'))
    if (row.table !== 'memories') return [plain]
    const lie = ask(statements.lie(relation, 1000, row), (asker) => {
      const answer = insertReturning(asker, row)
      return answer === '42501' ? answer : statements.entity(answer)
    })
    return [plain, lie]
  }
  const where = `where id = ${attempt.row + 1}`
  switch (attempt.do) {
    case 'update body':
      return [ask(`update ${relation} set body = 'y' ${where}`, (asker) => update(asker, row, {}))]
    case 'update actor': {
      const sql = `update ${relation} set created_by = 'user:liar' ${where} returning created_by`
      return [
        ask(sql, (asker) => {
          const answer = update(asker, row, {})
          return answer === '0 rows' ? '' : '42501'
        }),
      ]
    }
    case 'update owner': {
      const column = row.table === 'ledgers' ? 'org_id' : 'owner_id'
      const sql = `update ${relation} set ${column} = '${statements.id(attempt.owner)}' ${where}`
      return [ask(sql, (asker) => update(asker, row, { owner: attempt.owner }))]
    }
    case 'update room': {
      const sql = `update ${relation} set room_id = ${statements.idOrNull(attempt.room)} ${where}`
      return [ask(sql, (asker) => update(asker, row, { room: attempt.room }))]
    }
    case 'delete row':
      return [ask(`delete from ${relation} ${where}`, (asker) => remove(asker, row))]
  }
}

/** Revoked, itself or what it was passed on from. */
function endedAbove(world: World, number: number): boolean {
  return world.delegations.some((one, i) => one?.revoked && world.under(i).includes(number))
}
