/** Timestamps that default to now differ from run to run, and RETURNING has no order. */
export function comparable(value: unknown): unknown {
  const plain = JSON.parse(
    JSON.stringify(value ?? null, (key, each: unknown) =>
      key === 'createdAt' || key === 'updatedAt' ? undefined : each,
    ),
  ) as unknown
  return Array.isArray(plain) ? plain.map((each) => JSON.stringify(each)).sort() : plain
}

/** The person who edited the file gave the old movements the owner of their product. */
export function owned(table: string, row: Record<string, unknown>, owner: number) {
  return table === 'stockMovements' ? { ...row, accountId: owner } : row
}

export function only(
  columns: readonly string[],
  row: Record<string, unknown>,
): Record<string, unknown> {
  return Object.fromEntries(columns.map((column) => [column, row[column]]))
}

export const sorted = (rows: readonly Record<string, unknown>[]): string[] =>
  rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort()
