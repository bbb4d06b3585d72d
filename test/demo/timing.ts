import pg from 'pg'
import { identity, tenantry } from '../../src/index.js'
import { table } from '../../src/cli/table.js'
import { interleave } from '../bench/sampling.js'
import type { Stage } from './stage.js'

/** The time of one call beside the bare query; `make bench` measures properly. */
export async function oneCall(stage: Stage, width: number): Promise<string> {
  const { ordinary } = stage.truth.identities
  const me = identity('user')(ordinary.id)
  const runtime = (contextTtl: number) =>
    tenantry(new pg.Pool({ connectionString: stage.app.url, max: 1 }), {
      secret: stage.secret,
      contextTtl,
    })
  const [reused, anew] = [runtime(60), runtime(0)]
  const bare = stage.unbound.pool({ max: 1 })
  const { rows } = await stage.db.admin.query<{ id: string }>(
    'select id from memories where owner_id = $1 limit 1',
    [ordinary.id],
  )
  const values = [rows[0]?.id]
  const text = 'select id, content from memories where id = $1'
  try {
    const samples = await interleave(
      [
        { name: 'bare query, no isolation', run: () => bare.query(text, values) },
        { name: 'with its context, re-used', run: () => reused.as(me).query(text, values) },
        { name: 'with its context, entered anew', run: () => anew.as(me).query(text, values) },
      ],
      500,
    )
    const base = samples[0]?.median ?? Number.NaN
    return table(
      ['one call, point read', 'median', 'against bare'],
      samples.map(({ name, median }) => [
        name,
        `${median.toFixed(0)} µs`,
        `${(median / base).toFixed(2)}×`,
      ]),
      width,
    )
  } finally {
    await Promise.all([reused.end(), anew.end()])
  }
}
