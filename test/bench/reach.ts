import Table from 'cli-table3'
import type { Verdict } from './report.js'
import { memberOf, reached, type ReachBench } from './reach-stage.js'
import { interleave, type Sample } from './sampling.js'

/** What somebody who reaches that many containers waits for. */
export interface ReachFigures {
  readonly rooms: number
  /** Rows that they read. */
  readonly rows: number
  /** Milliseconds: medians. */
  readonly reach: number
  readonly latest: number
  readonly count: number
  /** The same latest rows by the forms that were not chosen, and with the ids given. */
  readonly forms: readonly Sample[]
}

const latest = (condition: string) =>
  `select id, body from memories where ${condition} order by created_at desc limit 20`

/** The reach path and the forms it could have had, for ever larger graphs. */
export async function measureReach(
  bench: ReachBench,
  rounds: number,
  onStep: (what: string) => void,
): Promise<ReachFigures[]> {
  await bench.admin.query(`
    create table if not exists closure as select user_id, room_id from participants;
    create index if not exists closure_user on closure (user_id, room_id); analyze closure`)
  const figures: ReachFigures[] = []
  for (const rooms of reached) {
    onStep(`${rooms} rooms`)
    const few = Math.max(5, Math.ceil(rounds / Math.max(10, rooms / 10)))
    await bench.enter(rooms)
    const [reach, view, count] = await interleave(
      [
        run(bench.app, 'reach', `select cardinality(tenantry.reach('room'))`),
        run(
          bench.app,
          'latest',
          'select id, body from reach.memories order by created_at desc limit 20',
        ),
        run(bench.app, 'count', 'select count(*) from reach.memories'),
      ],
      few,
    )
    const { rows } = await bench.app.query<{ n: string }>(
      'select count(*) as n from reach.memories',
    )
    await bench.app.query('commit')
    figures.push({
      rooms,
      rows: Number(rows[0]?.n),
      reach: ms(reach),
      latest: ms(view),
      count: ms(count),
      forms: await forms(bench, rooms, few),
    })
  }
  return figures
}

async function forms(bench: ReachBench, rooms: number, rounds: number): Promise<Sample[]> {
  const me = memberOf(rooms)
  await bench.admin.query('begin')
  await bench.admin.query('select tenantry.assume($1, $1)', [`user:${me}`])
  const own = `owner_id = '${me}'`
  try {
    return await interleave(
      [
        run(
          bench.admin,
          'array',
          latest(`${own} or room_id = any ((select tenantry.reach('room')::uuid[])::uuid[])`),
        ),
        run(
          bench.admin,
          'sub-query',
          latest(`${own} or room_id in (select unnest(tenantry.reach('room'))::uuid)`),
        ),
        run(
          bench.admin,
          'closure',
          latest(
            `${own} or room_id in (select c.room_id from closure c where c.user_id = '${me}')`,
          ),
        ),
      ],
      Math.max(3, Math.ceil(rounds / 4)),
    )
  } finally {
    await bench.admin.query('commit')
  }
}

function run(client: ReachBench['app'], name: string, text: string) {
  return { name, run: () => client.query(text) }
}

const ms = (sample: Sample | undefined) => (sample?.median ?? Number.NaN) / 1000

export function reportReach(major: number, figures: readonly ReachFigures[]): Verdict[] {
  const names = figures[0]?.forms.map(({ name }) => name) ?? []
  const table = new Table({
    head: [
      `reach path, PostgreSQL ${major}`,
      'rows',
      'reach() ms',
      'latest 20 ms',
      'count ms',
      ...names.map((name) => `${name} ms`),
    ],
    style: { head: [], border: [] },
  })
  for (const { rooms, rows, reach, latest: view, count, forms: others } of figures) {
    table.push([
      `${rooms} rooms`,
      rows,
      ...[reach, view, count, ...others.map(ms)].map((value) => value.toFixed(2)),
    ])
  }
  console.log(`\n${table.toString()}`)
  const at = figures.find(({ rooms }) => rooms === 1000)
  const [least, most] = [figures[0], figures.find(({ rooms }) => rooms === 5000)]
  const verdicts: Verdict[] = []
  if (at) {
    verdicts.push({
      name: `reach path, 1,000 rooms, latest 20, PostgreSQL ${major}`,
      measured: `${at.latest.toFixed(1)} ms`,
      bar: '≤ 5 ms',
      met: at.latest <= 5,
    })
  }
  if (least && most) {
    const growth = most.count / least.count / (most.rows / least.rows)
    verdicts.push({
      name: `reach path, count from 1 to 5,000 rooms over the rows returned, PostgreSQL ${major}`,
      measured: `${growth.toFixed(2)}×`,
      bar: '≤ 1×',
      met: growth <= 1,
    })
  }
  return verdicts
}
