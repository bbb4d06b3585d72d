import pg, { type ClientBase } from 'pg'

const { escapeLiteral } = pg

export interface Plan {
  /** Node types with their relations, indexes and conditions, without values and estimates. */
  readonly shape: string
  /** As EXPLAIN prints it. */
  readonly text: string
}

interface Node {
  readonly 'Node Type': string
  readonly 'Parent Relationship'?: string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Index Cond'?: string
  readonly 'Recheck Cond'?: string
  readonly Filter?: string
  readonly Plans?: readonly Node[]
}

/** The plan of a statement. What is compared is how rows are found, not how the owner's id gets there. */
export async function planOf(
  client: ClientBase,
  text: string,
  values: readonly string[],
): Promise<Plan> {
  const explain = async (options: string): Promise<unknown[]> => {
    const { rows } = await client.query<{ 'QUERY PLAN': unknown }>(
      `explain (costs off${options}) ${text}`,
      [...values],
    )
    return rows.map((row) => row['QUERY PLAN'])
  }
  const [tree] = (await explain(', format json')) as [[{ Plan: Node }]]
  return {
    shape: shapeOf(tree[0].Plan, 0).join('\n'),
    text: (await explain('')).join('\n'),
  }
}

/**
 * The plan that a prepared statement settles on, which like the own path's does not depend on whose
 * id it is given; planned anew for one value, a statement may get another.
 */
export async function genericPlanOf(
  client: ClientBase,
  text: string,
  values: readonly string[],
): Promise<Plan> {
  await client.query('set local plan_cache_mode = force_generic_plan')
  await client.query(`prepare by_hand as ${text}`)
  try {
    const list = values.map((value) => escapeLiteral(value)).join(', ')
    return await planOf(client, `execute by_hand(${list})`, [])
  } finally {
    await client.query('deallocate by_hand')
    await client.query('set local plan_cache_mode = auto')
  }
}

function shapeOf(node: Node, depth: number): string[] {
  // The own path computes the owner's id in an InitPlan, by hand it is a parameter.
  if (node['Parent Relationship'] === 'InitPlan') return []
  const line = [
    node['Node Type'],
    node['Relation Name'],
    node['Index Name'],
    condition(node['Index Cond']),
    condition(node.Filter),
  ].filter(Boolean)
  return [
    ' '.repeat(depth) + line.join(' | '),
    ...(node.Plans ?? []).flatMap((child) => shapeOf(child, depth + 1)),
  ]
}

/** Values and how they are written gone: `(owner_id = ?)`; the order of ANDed terms does not count. */
function condition(text: string | undefined): string | undefined {
  const terms = text
    ?.replaceAll(/\(InitPlan \d+\)\.col\d+|\$\d+|'[^']*'::\w+/g, '?')
    .replaceAll(/[()]/g, '')
    .split(' AND ')
    .sort()
  return terms?.join(' AND ')
}
