import {
  SarifBuilder,
  SarifResultBuilder,
  SarifRuleBuilder,
  SarifRunBuilder,
} from 'node-sarif-builder'
import { packageVersion } from '../version.js'
import type { Finding } from './finding.js'

const levels = { critical: 'error', warning: 'warning', info: 'note' } as const

/** Findings as SARIF 2.1.0: a rule for each code, a logical location for each object. */
export function sarif(findings: readonly Finding[]): string {
  const run = new SarifRunBuilder().initSimple({
    toolDriverName: 'tenantry',
    toolDriverVersion: packageVersion(),
  })
  for (const code of new Set(findings.map((each) => each.code))) {
    run.addRule(
      new SarifRuleBuilder().initSimple({
        ruleId: code,
        shortDescriptionText: code.replaceAll('_', ' '),
      }),
    )
  }
  for (const { severity, code, object, problem, fix } of findings) {
    const result = new SarifResultBuilder().initSimple({
      ruleId: code,
      level: levels[severity],
      messageText: `${object}: ${problem}. What closes it: ${fix}`,
    })
    result.result.locations = [{ logicalLocations: [{ fullyQualifiedName: object }] }]
    // So that a service which follows results over time takes it for the same one.
    result.result.partialFingerprints = { 'tenantry/v1': `${code} ${object}` }
    run.addResult(result)
  }
  const builder = new SarifBuilder()
  builder.addRun(run)
  return `${builder.buildSarifJsonString({ indent: true })}\n`
}
