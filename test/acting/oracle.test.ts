import fc from 'fast-check'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { fullLength } from '../support/full-length.js'
import { observe, wrongUnder } from './oracle/compare.js'
import { OracleDatabase } from './oracle/database.js'
import { examples } from './oracle/examples.js'
import { graphs } from './oracle/graph.js'
import type { Graph } from './oracle/terms.js'
import { allRules, type Rules } from './oracle/world.js'

// Each major has graphs of its own, so that both together see as many as one of them would for twice the time.
const seed = Number(process.env.FC_SEED ?? (Date.now() + inject('server').major) % 2 ** 31)
const runs = Number(process.env.FC_RUNS ?? (fullLength ? 1000 : 50))

/** Models that break one rule each: some graph must find every one of them out. */
const broken = (Object.keys(allRules) as (keyof Rules)[]).map((rule) => ({
  rule,
  rules: { ...allRules, [rule]: false },
  wrong: 0,
  graphs: 0,
}))

let database: OracleDatabase
beforeAll(async () => {
  database = await OracleDatabase.open()
})
afterAll(() => database.close())

let number = 0

it('decides as the model says', { timeout: 3_600_000 }, async () => {
  let decisions = 0
  const property = fc.asyncProperty(graphs, async (graph) => {
    const observed = await observe(database, ++number, graph)
    decisions += observed.decisions
    for (const control of broken) {
      if (control.wrong > 0) continue
      control.wrong = wrongUnder(control.rules, observed)
      control.graphs++
    }
    if (observed.mismatches.length > 0) throw new Error(observed.mismatches.slice(0, 10).join('\n'))
  })
  const started = Date.now()
  const result = await fc.check(property, {
    seed,
    numRuns: runs,
    endOnFailure: !fullLength,
    examples: examples.map((graph): [Graph] => [graph]),
  })
  const seconds = Math.round((Date.now() - started) / 1000)
  console.log(
    `oracle: ${number} graphs, ${decisions} decisions, ${result.failed ? 'MISMATCHES' : 'no mismatch'}, ${seconds} s, FC_SEED=${seed}`,
  )
  const found = broken.map(({ rule, graphs }) => `${rule} ${graphs}`).join(', ')
  console.log(`oracle: graphs until a model without a rule was found out: ${found}`)
  if (result.failed) {
    expect.fail(`${String(result.errorInstance)}\n${fc.defaultReportMessage(result) ?? 'failed'}`)
  }
  for (const { rule, wrong } of broken) {
    expect(wrong, `a model without ${rule} is found out`).toBeGreaterThan(0)
  }
})
