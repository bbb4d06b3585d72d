import type pg from 'pg'

/** A node of EXPLAIN (format json), as far as it is looked at. */
export interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Index Cond'?: string
  readonly 'Recheck Cond'?: string
  readonly Filter?: string
  readonly 'One-Time Filter'?: string
  readonly 'Parent Relationship'?: string
  readonly 'Actual Loops'?: number
  readonly 'Actual Rows'?: number
  readonly 'Workers Launched'?: number
  readonly 'Subplans Removed'?: number
  readonly Plans?: readonly PlanNode[]
}

export async function explain(
  client: Pick<pg.ClientBase, 'query'>,
  statement: string,
  options = '',
): Promise<PlanNode> {
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    `explain (format json, costs off${options}) ${statement}`,
  )
  return rows[0]!['QUERY PLAN'][0].Plan
}

/**
 * The plan as lines of node, table, index and conditions with every value written as `?`. Without the
 * InitPlans that fetch the identity, and without the Result that compares two of them once.
 */
export function shape(node: PlanNode, depth = 0): string[] {
  const below = (node.Plans ?? []).filter((child) => child['Parent Relationship'] !== 'InitPlan')
  if (node['Node Type'] === 'Result' && node['One-Time Filter'] && below[0]) {
    return shape(below[0], depth)
  }
  const conditions = (['Index Cond', 'Recheck Cond', 'Filter'] as const).map(
    (name) => node[name] && `${name}: ${withoutValues(node[name])}`,
  )
  const line = [node['Node Type'], node['Relation Name'], node['Index Name'], ...conditions]
  return [
    '  '.repeat(depth) + line.filter(Boolean).join(' | '),
    ...below.flatMap((child) => shape(child, depth + 1)),
  ]
}

/** Every node, InitPlans included. */
export function nodes(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodes)]
}

export const initPlans = (node: PlanNode) =>
  nodes(node).filter((each) => each['Parent Relationship'] === 'InitPlan')

function withoutValues(condition: string): string {
  return condition.replaceAll(/\(InitPlan \d+\)\.col1|\$\d+|'[^']*'::[a-z]+/g, '?')
}
