import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import Table from 'cli-table3'
import type { Sample } from './sampling.js'
import type { Comparison } from './statements.js'

/** What the product is to keep to; each is printed beside what was measured, met or not. */
const callBars: Readonly<Record<string, number>> = {
  'pool, context reused': 1.4,
  'accessor, context reused': 1.4,
  'pool, entered anew': 2,
  'accessor, entered anew': 2,
  'acting for another, anew': 2.5,
}

export interface Verdict {
  readonly name: string
  readonly measured: string
  readonly bar: string
  readonly met: boolean
}

/** The table of one set of calls, and a verdict for each that has a bar. */
export function reportCalls(
  title: string,
  samples: readonly Sample[],
  bars: Readonly<Record<string, number>> = callBars,
): Verdict[] {
  const bare = samples.find(({ name }) => name === 'bare query')
  if (!bare) throw new Error('the bare query was not measured')
  const table = new Table({ head: [title, 'median µs', 'p90 µs', '× bare', 'bar'], style: plain })
  const verdicts: Verdict[] = []
  for (const sample of samples) {
    const ratio = sample.median / bare.median
    const bar = bars[sample.name]
    table.push([
      sample.name,
      micros(sample.median),
      micros(sample.p90),
      ratio.toFixed(2),
      bar === undefined ? '' : `≤ ${bar}`,
    ])
    if (bar !== undefined) {
      verdicts.push({
        name: `${title}: ${sample.name}`,
        measured: `${ratio.toFixed(2)}×`,
        bar: `≤ ${bar}×`,
        met: ratio <= bar,
      })
    }
  }
  console.log(`\n${table.toString()}`)
  return verdicts
}

/** The table of the own path against the hand-written WHERE, the plans, and a verdict for each. */
export function reportStatements(comparisons: readonly Comparison[]): Verdict[] {
  const table = new Table({
    head: [
      'own path against WHERE by hand',
      'owner',
      'own µs',
      'by hand µs',
      'ratio',
      'difference µs',
      'prepared: own, by hand',
      'same plan, prepared',
      'same plan, this owner',
    ],
    style: plain,
  })
  const verdicts: Verdict[] = []
  for (const { query, owner, own, byHand, prepared, many, plans } of comparisons) {
    const ratio = own.median / byHand.median
    const more = own.median - byHand.median
    table.push([
      query,
      owner,
      micros(own.median),
      micros(byHand.median),
      ratio.toFixed(2),
      micros(more),
      `${micros(prepared.own.median)}, ${micros(prepared.byHand.median)}`,
      plans.same ? 'yes' : 'NO',
      plans.sameForOwner ? 'yes' : 'no',
    ])
    const name = `${query}, ${owner} owner`
    verdicts.push({
      name: `plan of ${name}`,
      measured: plans.same ? 'the same' : 'another',
      bar: 'the same',
      met: plans.same,
    })
    verdicts.push(compare(name, own, byHand, many))
    verdicts.push(compare(`${name}, prepared`, prepared.own, prepared.byHand, many))
  }
  console.log(`\n${table.toString()}`)
  for (const { query, owner, plans } of comparisons) {
    console.log(
      `\n${query}, ${owner} owner${plans.same ? '' : ' — ANOTHER PLAN; by hand:\n' + plans.byHandGeneric.text + '\nown path:'}\n${plans.own.text}`,
    )
  }
  return verdicts
}

/** Reads of many rows are held to a ratio, everything else to a difference. */
function compare(name: string, own: Sample, byHand: Sample, many: boolean): Verdict {
  const ratio = own.median / byHand.median
  const more = own.median - byHand.median
  return {
    name,
    measured: `${ratio.toFixed(2)}×, ${more < 0 ? '' : '+'}${micros(more)} µs`,
    bar: many ? '≤ 1.15×, or ≤ +30 µs' : '≤ +30 µs',
    met: more <= 30 || (many && ratio <= 1.15),
  }
}

export function reportVerdicts(verdicts: readonly Verdict[]): void {
  const table = new Table({ head: ['bar', 'measured', 'wanted', ''], style: plain })
  for (const { name, measured, bar, met } of verdicts)
    table.push([name, measured, bar, met ? 'met' : 'NOT MET'])
  console.log(`\n${table.toString()}`)
}

/** Figures under stable names, for comparing runs. */
export function writeResults(file: string, results: object): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
  console.log(`\n${file}`)
}

const plain = { head: [], border: [] }
const micros = (value: number): string => (value >= 1000 ? value.toFixed(0) : value.toFixed(1))
