import { pathToFileURL } from 'node:url'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import ts from 'typescript'
import { generate } from '../../codegen/generate.js'
import { identity, tenantry, type TenantrySchema, type Tenantry } from '../../src/index.js'
import type { Bench } from './prepare.js'
import { interleave, type Sample, type Variant } from './sampling.js'

const user = identity('user')
const agent = identity('agent')

/** What the generated accessors of the fixture offer here. */
interface Accessors {
  readonly memories: {
    findById(id: string, options?: { select: string[] }): Promise<unknown>
  }
}

const pointRead = 'select id, content from public.memories where id = $1'

/**
 * One call, the point read of an ordinary owner, over one connection: the bare query beside the
 * same through pool and accessor, with the context re-used, entered anew, and acting for another.
 *
 * @param port where the server is reached, such as a proxy's port
 */
export async function measureCalls(
  bench: Bench,
  port: number,
  rounds: number,
  onRound: (done: number, total: number) => void,
): Promise<Sample[]> {
  const { ordinary } = bench.truth.identities
  const acting = bench.truth.identities.agents.find(({ owner }) => owner === ordinary.entity)
  if (!acting) throw new Error('the ordinary user of the fixture owns no agent')
  const ids = await memoryIds(bench, ordinary.id)
  const pools: pg.Pool[] = []
  const pool = (url: string): pg.Pool => {
    const made = new pg.Pool({ connectionString: atPort(url, port), max: 1 })
    pools.push(made)
    return made
  }
  const schema = await generatedSchema(bench)
  const audience = bench.db.name
  const runtime = (contextTtl: number, transport?: 'awaited'): Tenantry<Accessors> =>
    tenantry(pool(bench.app.url), {
      secret: bench.secret,
      schema,
      audience,
      contextTtl,
      transport,
      credentialTtl: 3600,
    })

  const bare = pool(bench.bare.url)
  const reused = runtime(300)
  const anew = runtime(0)
  const awaited = runtime(0, 'awaited')
  const me = user(ordinary.id)
  const acts = { for: me }
  let turn = 0
  const id = (): string => ids[(turn += 1) % ids.length] ?? ''
  const variants: Variant[] = [
    { name: 'bare query', run: () => bare.query(pointRead, [id()]) },
    {
      name: 'pool, context reused',
      run: () => reused.run(me, () => reused.pool.query(pointRead, [id()])),
    },
    {
      name: 'accessor, context reused',
      run: () => reused.as(me).memories.findById(id(), { select: ['id', 'content'] }),
    },
    {
      name: 'pool, entered anew',
      run: () => anew.run(me, () => anew.pool.query(pointRead, [id()])),
    },
    {
      name: 'accessor, entered anew',
      run: () => anew.as(me).memories.findById(id(), { select: ['id', 'content'] }),
    },
    {
      name: 'acting for another, anew',
      run: () => anew.as(agent(acting.id), acts).query(pointRead, [id()]),
    },
    {
      name: 'four awaited statements',
      run: () => awaited.run(me, () => awaited.pool.query(pointRead, [id()])),
    },
  ]
  try {
    await proveAlike(variants)
    return await interleave(variants, rounds, onRound)
  } finally {
    await Promise.all(pools.map((made) => made.end()))
  }
}

/** A call that finds nothing would be fast and worth nothing. */
async function proveAlike(variants: readonly Variant[]): Promise<void> {
  for (const { name, run } of variants) {
    const found = await run()
    const rows = (found as { rows?: unknown[] } | null)?.rows ?? [found]
    if (rows.length !== 1 || !rows[0]) throw new Error(`${name} does not find the row it asks for`)
  }
}

async function memoryIds(bench: Bench, owner: string): Promise<string[]> {
  const { rows } = await bench.db.admin.query<{ id: string }>(
    'select id from memories where owner_id = $1 order by id limit 100',
    [owner],
  )
  return rows.map((row) => row.id)
}

/** The accessors as an application gets them: generated, transpiled, imported. */
async function generatedSchema(bench: Bench): Promise<TenantrySchema<Accessors>> {
  const client = new pg.Client({ connectionString: bench.db.url() })
  await client.connect()
  try {
    const runtime = new URL('../../src/index.js', import.meta.url).href
    const text = await generate(client, { schemas: ['public'], runtime })
    const { outputText } = ts.transpileModule(text, {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    })
    const file = join(mkdtempSync(join(tmpdir(), 'tenantry-bench-')), 'generated.mjs')
    writeFileSync(file, outputText)
    const generated = (await import(pathToFileURL(file).href)) as {
      schema: TenantrySchema<Accessors>
    }
    return generated.schema
  } finally {
    await client.end()
  }
}

function atPort(url: string, port: number): string {
  const other = new URL(url)
  other.port = String(port)
  return other.href
}
