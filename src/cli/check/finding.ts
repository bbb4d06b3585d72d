/** One row of tenantry.check(). */
export interface Finding {
  readonly severity: 'critical' | 'warning' | 'info'
  readonly code: string
  readonly object: string
  readonly problem: string
  readonly fix: string
}
