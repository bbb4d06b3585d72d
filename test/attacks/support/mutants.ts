import { afterAll, describe, expect, it } from 'vitest'
import { fullLength } from '../../support/full-length.js'
import type { Town } from './town.js'

interface Change {
  readonly routine: string
  readonly from: string | RegExp
  readonly to: string
}

/** A piece of the protection, broken: SQL, or functions whose text is changed. */
export type Mutant = string | Change | readonly Change[]

/** Breaks a town; what it was changed by must have changed something. */
async function mutate({ db }: Town, mutant: Mutant): Promise<void> {
  if (typeof mutant === 'string') {
    await db.admin.query(mutant)
    return
  }
  for (const { routine, from, to } of [mutant].flat()) {
    const { rows } = await db.admin.query<{ text: string }>(
      `select pg_get_functiondef(oid) as text from pg_proc
        where case when $1 like '%(%' then oid = to_regprocedure($1) else oid = to_regproc($1) end`,
      [routine],
    )
    const text = rows[0]?.text ?? ''
    const pattern = from instanceof RegExp ? from.source : escaped(from)
    const broken = text.replaceAll(new RegExp(pattern, 'g'), to)
    if (broken === text) throw new Error(`${routine} does not say ${pattern}`)
    await db.admin.query(broken)
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

export interface MutantRun<T extends Town> {
  readonly mutants: Record<string, Mutant>
  /** The names of the probes that did not hold in a town. */
  failures(at: T): Promise<string[]>
  open(): Promise<T>
  /** As many probes may fail, and no more: a mutant that works for nobody would prove nothing. */
  readonly most: number
}

/** Tests that the probes hold in an unbroken database, and that each mutant makes some of them fail. */
export function everyMutantIsFound<T extends Town>(run: MutantRun<T>): void {
  // Every sixth of them on an ordinary day, each day others; all in `make test-all`.
  const day = Math.floor(Date.now() / 86_400_000)
  const tried = Object.keys(run.mutants).filter((_, n) => fullLength || n % 6 === day % 6)
  describe('the probes', () => {
    let killed = 0
    afterAll(() => {
      console.info(
        `mutants: ${killed} of ${tried.length} killed, of ${Object.keys(run.mutants).length} there are`,
      )
    })

    it('find nothing in an unbroken database', async () => {
      const at = await run.open()
      try {
        expect(await run.failures(at)).toEqual([])
      } finally {
        await at.drop()
      }
    })

    it.each(tried)('find %s', async (name) => {
      const at = await run.open()
      try {
        await mutate(at, run.mutants[name] ?? '')
        const failed = await run.failures(at)
        expect(failed).not.toEqual([])
        expect(failed.length, failed.join()).toBeLessThan(run.most)
        killed++
      } finally {
        await at.drop()
      }
    })
  })
}
