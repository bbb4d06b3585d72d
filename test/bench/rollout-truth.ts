import type { Elizaos, RolledOut } from '../rollout/support/elizaos.js'

/** What a rollout decided, held against what the generator knows. */
export interface Judged {
  readonly rows: number
  readonly owned: number
  /** Rows that were given to somebody else than their owner. */
  readonly wrong: number
  /** Rows that can be decided and have no owner. */
  readonly undecided: number
  readonly quarantined: number
  /** Rows that nothing decides, as the generator made them. */
  readonly undecidable: number
  /** Rows in quarantine that the generator did not make undecidable, or the other way round. */
  readonly misjudged: number
}

/** Judges one table; rows that were written since it was generated are left out. */
export async function judge(on: Elizaos, table: RolledOut): Promise<Judged> {
  const known = new Set(
    (
      await on.db.admin.query<{ key: string }>(
        `select ${table.key} as key from ${table.name} t where exists (
           select from tenantry.rollout_quarantine q
            where q.relation = '${table.name}'::regclass and q.key = ${await keyTexts(on, table.name)})`,
      )
    ).rows.map(({ key }) => key),
  )
  const { rows } = await on.db.admin.query<{ key: string; owner: string | null }>(
    `select ${table.key} as key, '${table.ownerKind}:' || ${table.ownerColumn} as owner from ${table.name}`,
  )
  const found = new Map(rows.map(({ key, owner }) => [key, owner]))
  const undecidable = new Set(on.truth.undecidable(table.before).keys())
  let [wrong, undecided, owned] = [0, 0, 0]
  for (const { key, owner } of on.truth.rows(table.before)) {
    const has = found.get(key) ?? null
    if (has !== null) owned += 1
    if (has !== null && has !== owner) wrong += 1
    if (has === null && owner !== null) undecided += 1
  }
  const misjudged =
    [...known].filter((key) => !undecidable.has(key)).length +
    [...undecidable].filter((key) => !known.has(key)).length
  return {
    rows: found.size,
    owned,
    wrong,
    undecided,
    quarantined: known.size,
    undecidable: undecidable.size,
    misjudged,
  }
}

async function keyTexts(on: Elizaos, table: string): Promise<string> {
  const { rows } = await on.db.admin.query<{ texts: string }>(
    'select tenantry_private.key_texts($1) as texts',
    [table],
  )
  return rows[0]?.texts ?? ''
}
