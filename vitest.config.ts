import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { runReporter } from './test/support/reporter/reporter.js'

const majors = (process.env.MAJORS ?? '15 18').split(/[\s,]+/).filter(Boolean)
const everyTest = 'test/**/*.test.ts'
const unitTests = 'test/**/*.unit.test.ts'
/** The command line, the pages, tools for migrations, what a crash leaves and how long things take hang on no version of the server: once in `make test`, on every major in `make test-all`. */
const once = [
  'test/cli/**',
  'test/docs/**',
  'test/migrations/**',
  'test/rollout/kill.test.ts',
  'test/runtime/soak.test.ts',
  'test/extension/check-speed.test.ts',
  'test/birth/cost.test.ts',
]

export default defineConfig({
  test: {
    pool: 'forks',
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
