import type { TestCase, TestModule, TestSuite } from 'vitest/node'

/** What became of one test, in the words of the last line of a run. */
export interface Outcome {
  /** `<project> <file> > <suite> > <test>`, as the lists at the end print it. */
  readonly label: string
  /** `<file> > <suite> > <test>`, as may-skip.json names it. */
  readonly name: string
  readonly state: 'passed' | 'failed' | 'skipped'
  /** Why it was skipped, or did not run. */
  readonly reason: string
  readonly milliseconds: number
}

/** The outcomes of every test of a run, and of every file or suite that failed outside a test. */
export function outcomesOf(modules: readonly TestModule[]): Outcome[] {
  return modules.flatMap((module) => {
    const tests = [...module.children.allTests()].map(outcomeOf)
    const broken = [module, ...module.children.allSuites()].filter(
      (suite) => suite.errors().length > 0,
    )
    const explained = tests.some(({ state }) => state === 'failed')
    return explained ? tests : [...tests, ...broken.map(brokenSuite)]
  })
}

function outcomeOf(test: TestCase): Outcome {
  const names = { label: `${test.project.name} ${nameOf(test)}`, name: nameOf(test) }
  const milliseconds = test.diagnostic()?.duration ?? 0
  const result = test.result()
  switch (result.state) {
    case 'passed':
    case 'failed':
      return { ...names, state: result.state, reason: '', milliseconds }
    case 'pending':
      return { ...names, state: 'failed', reason: 'did not run to its end', milliseconds }
    case 'skipped':
      // Vitest also calls a test skipped when the set-up of its suite threw.
      if (parentsOf(test).some((parent) => parent.errors().length > 0)) {
        return { ...names, state: 'failed', reason: 'its set-up failed', milliseconds }
      }
      return { ...names, state: 'skipped', reason: result.note ?? '', milliseconds }
  }
}

function brokenSuite(suite: TestModule | TestSuite): Outcome {
  const module = suite.type === 'module' ? suite : suite.module
  const name =
    suite.type === 'module'
      ? module.relativeModuleId
      : `${module.relativeModuleId} > ${suite.fullName}`
  const label = `${module.project.name} ${name}`
  return { label, name, state: 'failed', reason: 'failed outside a test', milliseconds: 0 }
}

function parentsOf(test: TestCase): (TestModule | TestSuite)[] {
  const parents: (TestModule | TestSuite)[] = []
  let at: TestModule | TestSuite = test.parent
  for (; at.type === 'suite'; at = at.parent) parents.push(at)
  return [...parents, at]
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId} > ${test.fullName}`
}
