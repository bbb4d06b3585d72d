import { it, type TestContext } from 'vitest'
import { type AttackName, verdicts } from './verdicts.js'

/** A test of one attack, named with its verdict. */
export function attack(name: AttackName, work: (context: TestContext) => Promise<void>): void {
  it(`${name}: ${verdicts[name].verdict}`, work)
}
