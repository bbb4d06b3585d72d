// A run of its own, for the tests of the reporter.
import { defineConfig } from 'vitest/config'
import { runReporter } from '../reporter/reporter.js'

export default defineConfig({
  test: { include: ['test/support/samples/*.sample.ts'], reporters: [runReporter(), 'default'] },
})
