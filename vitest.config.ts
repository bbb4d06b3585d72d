import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { runReporter } from './test/support/reporter/reporter.js'

const majors = (process.env.MAJORS ?? '15 18').split(/[\s,]+/).filter(Boolean)
const everyTest = 'test/**/*.test.ts'
const unitTests = 'test/**/*.unit.test.ts'
/**
 * What hangs on no version of the server: once in `make test`, on every major in `make test-all`. The command line, the pages,
 * tools for migrations, the runtime and the accessors, whose generated files are the same on every major, which is tested on
 * each; what a crash leaves; how long things take.
 */
const once = [
  'test/cli/**',
  'test/docs/**',
  'test/migrations/**',
  'test/runtime/**',
  'test/support/**',
  'test/fixtures/**',
  'test/secrets/accessors.test.ts',
  'test/codegen/{accessors,cli,conformance,hostile,protected,reach-accessors,secret-accessors,secret-writes}.test.ts',
  'test/rollout/kill.test.ts',
  'test/extension/check-speed.test.ts',
  'test/birth/cost.test.ts',
]

export default defineConfig({
  test: {
    pool: 'forks',
    // Files follow one another in a worker, which imports what they share once: none leaves anything of its own behind.
    isolate: false,
    // Much of a test's time is spent in the servers, so a third worker pays even on two cores.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: [runReporter(), 'default'],
    projects: [
      { extends: true, test: { name: 'unit', include: [unitTests] } },
      ...majors.map((major) => ({
        extends: true as const,
        test: {
          name: `pg${major}`,
          include: [everyTest],
          exclude: [
            unitTests,
            '**/node_modules/**',
            ...(major === majors.at(-1) || process.env.TENANTRY_TEST_ALL === '1' ? [] : once),
          ],
          globalSetup: 'test/support/global-setup.ts',
        },
      })),
    ],
  },
})
