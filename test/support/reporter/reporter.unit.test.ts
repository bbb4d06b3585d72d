import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../repository.js'

function run(sample: string, ...options: string[]) {
  const vitest = join(repositoryRoot, 'node_modules', '.bin', 'vitest')
  const config = join('test', 'support', 'samples', 'vitest.config.ts')
  const { status, stdout } = spawnSync(
    vitest,
    ['run', '--config', config, `test/support/samples/${sample}.sample.ts`, ...options],
    { cwd: repositoryRoot, encoding: 'utf8', env: { PATH: process.env.PATH, NO_COLOR: '1' } },
  )
  return { status, stdout, lastLine: stdout.trimEnd().split('\n').at(-1) }
}

describe('a run', () => {
  it('ends with its numbers', () => {
    const { status, stdout, lastLine } = run('passing')
    expect(lastLine).toBe('1 passed, 0 failed, 0 skipped')
    expect(stdout).toMatch(/Slowest tests\n +\d\.\d\d s .*passing\.sample\.ts > holds/)
    expect(status).toBe(0)
  })

  it('fails when a test is skipped that is not listed, and says which and why', () => {
    const { status, stdout, lastLine } = run('skipping')
    expect(stdout).toMatch(
      /may-skip\.json does not allow\n.*is skipped without being listed: the moon is not full/,
    )
    expect(lastLine).toBe('1 passed, 1 failed, 0 skipped')
    expect(status).toBe(1)
  })

  it('does not mind the tests that a name filter leaves out', () => {
    const { status, lastLine } = run('skipping', '-t', 'holds')
    expect(lastLine).toBe('1 passed, 0 failed, 0 skipped')
    expect(status).toBe(0)
  })

  it('counts a test whose set-up failed as failed', () => {
    const { status, lastLine } = run('failing-set-up')
    expect(lastLine).toBe('0 passed, 1 failed, 0 skipped')
    expect(status).toBe(1)
  })

  it('fails when nothing was run', () => {
    const { status, lastLine } = run('no-such-file')
    expect(lastLine).toBe('0 passed, 1 failed, 0 skipped')
    expect(status).toBe(1)
  })
})
