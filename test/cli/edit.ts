import { expect } from 'vitest'

/** What a person decides in the survey's file of the shop. */
const statements = [
  '-- update public."stockMovements" t set "accountId" = p.account_id',
  `-- select tenantry.protect('public."stockMovements"', owner_column => 'accountId'`,
  `-- select tenantry.share('public.feature_flags')`,
]

/** Edits the survey's file of the shop: takes the two dashes off the first line that begins like each. */
export function uncomment(file: string): string {
  const lines = file.split('\n')
  for (const start of statements) {
    const index = lines.findIndex((line) => line.startsWith(start))
    expect(index, `a line that begins with ${start}`).toBeGreaterThanOrEqual(0)
    lines[index] = lines[index]?.slice(3) ?? ''
  }
  return lines.join('\n')
}
