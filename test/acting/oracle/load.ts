import { enter, mayGive } from './model.js'
import type { OracleDatabase } from './database.js'
import type { Statements } from './statements.js'
import { kindOf, type Graph, type Step } from './terms.js'
import { allRules, World, type Rules } from './world.js'

/** What happened while a graph was loaded: to be told to a world again under other rules. */
export type Event = (world: World) => void

export interface Loaded {
  readonly world: World
  readonly events: readonly Event[]
  /** The delegations' ids, null where none was given. */
  readonly ids: readonly (string | null)[]
  readonly decisions: number
  readonly mismatches: readonly string[]
}

/** Loads a graph, comparing who could delegate on the way. */
export async function load(
  database: OracleDatabase,
  statements: Statements,
  graph: Graph,
  rules: Rules = allRules,
): Promise<Loaded> {
  const world = new World(graph.entities, rules)
  const events: Event[] = []
  const mismatches: string[] = []
  const ids: (string | null)[] = []
  const waiting: string[] = []
  let decisions = 0
  let joined = 0

  const happens = (event: Event) => {
    event(world)
    events.push(event)
  }
  const changes = async () => database.change(waiting.splice(0))

  const delegates = async (step: Extract<Step, { do: 'delegate' }>) => {
    await changes()
    const context = enter(world, step.by)
    const expected =
      typeof context === 'string'
        ? { refusals: [context], parents: [] }
        : mayGive(world, context, step)
    const given = await database.give(
      statements,
      step.by,
      `${statements.delegate(step)} as delegate`,
    )
    decisions++
    const said = JSON.stringify(step)
    if (typeof given === 'string') {
      ids.push(null)
      happens(({ delegations }) => delegations.push(null))
      if (!expected.refusals.includes(given)) {
        mismatches.push(`${said}: model ${describe(expected)}, database ${given}`)
      }
      return
    }
    const parent = given.parent === null ? null : ids.indexOf(given.parent)
    if (!expected.parents.includes(parent)) {
      mismatches.push(`${said}: model ${describe(expected)}, database given under ${parent}`)
    }
    ids.push(given.id)
    const forEntity = step.forEntity ?? step.by[0]
    if (forEntity === undefined) throw new Error('given by nobody')
    const giver = step.by[0] ?? forEntity
    happens((at) => at.give(step, giver, forEntity, parent))
  }

  for (const { name, owner, acts, serves } of graph.entities) {
    waiting.push(statements.born(name, owner, acts))
    for (const kind of serves) {
      waiting.push(`select tenantry.register_service('${statements.entity(name)}', '${kind}')`)
    }
  }
  for (const step of graph.steps) {
    switch (step.do) {
      case 'join':
        waiting.push(statements.join(++joined, step))
        happens((at) => at.join(step))
        break
      case 'leave': {
        const nth = world.memberships.length && step.nth % world.memberships.length
        const one = world.memberships[nth]
        if (one === undefined || one.left) break
        waiting.push(statements.leave(nth + 1, one.table))
        happens((at) => at.leave(nth))
        break
      }
      case 'delegate':
        await delegates(step)
        break
      case 'revoke':
      case 'expire': {
        const there = world.delegations.flatMap((one, i) =>
          one !== null && world.holds(one) ? [i] : [],
        )
        const nth = there[there.length && step.nth % there.length]
        if (nth === undefined) break
        const under = world.under(nth).map((i) => `'${ids[i]}'`)
        waiting.push(
          step.do === 'revoke'
            ? `select tenantry.revoke('${ids[nth]}')`
            : `update tenantry_private.delegations set given_at = now() - interval '2 hours',
                 expires_at = now() - interval '1 second' where id in (${under.join()})`,
        )
        happens((at) => at.end(nth, step.do))
        break
      }
      case 'delete':
      case 'again': {
        await changes() // in a transaction of its own
        const being = world.beings.get(step.name)
        if (being === undefined || being.gone !== (step.do === 'again')) break
        // By hand nobody is registered with an owner who is gone.
        const ownerless = being.owner !== null && !world.exists(being.owner)
        if (step.do === 'again' && kindOf(step.name) === 'bot' && ownerless) break
        waiting.push(
          step.do === 'delete'
            ? statements.gone(step.name)
            : statements.born(step.name, being.owner, being.acts),
        )
        happens((at) => (step.do === 'delete' ? at.delete(step.name) : at.again(step.name)))
        break
      }
      case 'renew': {
        const being = world.beings.get(step.name)
        if (being === undefined || being.gone) break
        await changes()
        waiting.push(
          statements.gone(step.name),
          statements.born(step.name, being.owner, being.acts),
        )
        await changes()
        happens((at) => at.again(step.name))
        break
      }
      case 'own':
        if (!world.exists(step.name)) break
        waiting.push(statements.own(step.name, step.owner))
        happens((at) => at.own(step.name, step.owner))
        break
    }
  }
  graph.rows.forEach((row, i) => waiting.push(statements.row(row.table, i + 1, row)))
  await changes()
  return { world, events, ids, decisions, mismatches }
}

function describe({
  refusals,
  parents,
}: {
  refusals: readonly string[]
  parents: readonly (number | null)[]
}): string {
  return parents.length > 0 ? `gives under ${parents.join(' or ')}` : refusals.join(' or ')
}
