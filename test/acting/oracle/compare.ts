import { fullLength } from '../../support/full-length.js'
import { enter, type Context } from './model.js'
import type { OracleDatabase } from './database.js'
import { load, type Event } from './load.js'
import { questionsOf, type Question } from './questions.js'
import { Statements } from './statements.js'
import { anonymous, privileges, type Chain, type Graph } from './terms.js'
import { allRules, World, type Rules } from './world.js'

/** Fully questioned chains of two and of three entities in one graph, at most. */
const mostAlone = fullLength ? 20 : 4
const mostThemselves = fullLength ? 5 : 1
const mostPairs = fullLength ? 30 : 3
const mostTriples = fullLength ? 10 : 2

export interface Observed {
  readonly graph: Graph
  readonly events: readonly Event[]
  readonly entered: ReadonlyMap<Chain, string>
  readonly questions: readonly Question[]
  readonly answers: ReadonlyMap<Chain | null, readonly string[] | string>
  readonly decisions: number
  readonly mismatches: readonly string[]
}

const whoami: Question = {
  label: 'privileges of whoami()',
  sql: `select array_to_string(privileges, ',') from tenantry.whoami()`,
  decisions: privileges.length,
  expected: (_world, context) => [
    privileges.filter((privilege) => context?.leaves.has(privilege)).join(),
  ],
}

/** Loads a graph into the database and compares what it decides with what the model says. */
export async function observe(
  database: OracleDatabase,
  number: number,
  graph: Graph,
  rules: Rules = allRules,
): Promise<Observed> {
  const statements = new Statements(number)
  await database.empty()
  const { world, events, ids, decisions, mismatches } = await load(
    database,
    statements,
    graph,
    rules,
  )
  const pairs = pairsOf(world)
  const triples = [...graph.chains, ...triplesOf(world, pairs)]
  const alone = [...world.beings.keys()].map((name): Chain => [name])
  const itself = alone.map(([name]) => [name, name] as Chain)
  const all = [...alone, ...itself, ...pairs, ...triples]
  const codes = await database.enter(statements, all)
  const entered = new Map(all.map((chain, i) => [chain, codes[i] ?? '']))

  const questions = [whoami, ...questionsOf(graph, statements, ids)]
  const may = (chain: Chain) => typeof enter(world, chain) !== 'string'
  const asked = [
    null,
    ...spread(alone.filter(may), mostAlone),
    ...spread(itself.filter(may), mostThemselves),
    ...spread(pairs.filter(may), mostPairs),
    ...spread(triples.filter(may), mostTriples),
  ]
  const answers = new Map<Chain | null, readonly string[] | string>()
  for (const chain of asked) {
    answers.set(chain, await database.ask(statements, chain, questions))
  }
  const observed = { graph, events, entered, questions, answers, decisions, mismatches }
  const { differences, decided } = compare(observed, world)
  return {
    ...observed,
    decisions: decisions + decided,
    mismatches: [...mismatches, ...differences],
  }
}

/** How many answers of the database another set of rules gets wrong. */
export function wrongUnder(rules: Rules, observed: Observed): number {
  const world = new World(observed.graph.entities, rules)
  for (const event of observed.events) event(world)
  return compare(observed, world).differences.length
}

function compare(
  { entered, questions, answers }: Pick<Observed, 'entered' | 'questions' | 'answers'>,
  world: World,
): { differences: string[]; decided: number } {
  const differences: string[] = []
  let decided = 0
  const contexts = new Map<Chain | null, Context | string | null>([[null, null]])
  for (const [chain, answer] of entered) {
    const context = enter(world, chain)
    contexts.set(chain, context)
    const expected = typeof context === 'string' ? context : 'entered'
    decided++
    if (answer !== expected && !(answer === 'TN004' && goneAmongMany(world, chain))) {
      differences.push(`enter ${chain.join(' < ')}: model ${expected}, database ${answer}`)
    }
  }
  for (const [chain, all] of answers) {
    const context = contexts.get(chain)
    if (typeof context === 'string' || context === undefined || typeof all === 'string') {
      differences.push(`${chain?.join(' < ')}: database ${JSON.stringify(all)}`)
      continue
    }
    questions.forEach((question, i) => {
      const answer = normal(all[i] ?? '')
      const expected = question.expected(world, context)
      decided += question.decisions
      if (expected.includes(answer)) return
      const who = chain?.join(' < ') ?? 'nobody'
      differences.push(
        `${who}: ${question.label}: model ${expected.join(' or ')}, database ${answer}`,
      )
    })
  }
  return { differences, decided }
}

/** The text does not say which of a longer chain's errors comes first. */
function goneAmongMany(world: World, chain: Chain): boolean {
  return chain.length > 2 && chain.some((name) => !world.exists(name))
}

/** A delegation's id differs each time. */
function normal(answer: string): string {
  return /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(answer) ? 'given' : answer
}

function pairsOf(world: World): Chain[] {
  const names = [...world.beings.keys()]
  return names.flatMap((principal) =>
    names.filter((actor) => actor !== principal).map((actor): Chain => [principal, actor]),
  )
}

/** Chains of three whose neighbours may act for each other. */
function triplesOf(world: World, pairs: readonly Chain[]): Chain[] {
  const linked = pairs.filter((pair) => typeof enter(world, pair) !== 'string')
  return linked.flatMap(([principal, actor]) =>
    pairs
      .filter((pair) => pair[0] === actor && pair[1] !== principal && pair[1] !== anonymous)
      .filter((pair) => linked.includes(pair) || pair[1] === linked[0]?.[1])
      .map((pair) => [principal, ...pair] as Chain),
  )
}

/** Some of many, from all over. */
function spread<T>(from: readonly T[], most: number): T[] {
  if (from.length <= most) return [...from]
  return Array.from({ length: most }, (_, i) => from[Math.floor((i * from.length) / most)] as T)
}
