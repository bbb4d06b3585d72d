import { expect, it, type TestContext } from 'vitest'
import { type TestedHere, verdicts } from './verdicts.js'

/** A test of one attack, named with its verdict. */
export function attack(name: TestedHere, work: (context: TestContext) => Promise<void>): void {
  it(`${name}: ${verdicts[name].verdict}`, work)
}

/** What the same attack does where nothing stands in its way, so that a refusal means something. */
export const control: typeof expect = Object.assign(
  (actual: unknown, about?: string) => expect(actual, `the control: ${about ?? ''}`),
  expect,
)
