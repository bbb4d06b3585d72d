import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { watch } from '../../codegen/watch.js'
import { main } from '../../src/cli/program.js'
import type { TestDatabase } from '../support/database.js'
import { goldenDatabase } from './support/golden.js'

describe('tenantry generate', () => {
  let db: TestDatabase
  let folder: string
  let out: string

  beforeAll(async () => {
    db = await goldenDatabase()
    folder = await mkdtemp(join(tmpdir(), 'tenantry-generate-'))
    out = join(folder, 'src', 'tenantry.generated.ts')
  })
  afterAll(async () => {
    await db.drop()
    await rm(folder, { recursive: true })
  })

  async function run(...args: string[]) {
    let [stdout, stderr] = ['', '']
    const code = await main(['generate', '--url', db.url(), '--out', out, ...args], {
      out: (text) => (stdout += text),
      err: (text) => (stderr += text),
      input: new PassThrough(),
      env: {},
      columns: 80,
      interactive: false,
    })
    return { code, stdout, stderr }
  }

  it('writes the file, folder and all, and leaves nothing beside it', async () => {
    expect(await run()).toEqual({ code: 0, stdout: '', stderr: `${out} written.\n` })
    expect(await readFile(out, 'utf8')).toContain(`from 'tenantry'`)
    expect(await readdir(join(folder, 'src'))).toEqual(['tenantry.generated.ts'])
  })

  it('does not touch a file that is up to date', async () => {
    const before = await stat(out)
    expect(await run()).toEqual({ code: 0, stdout: '', stderr: `${out} is up to date.\n` })
    expect((await stat(out)).mtimeMs).toBe(before.mtimeMs)
  })

  it('--check is content with a current file, whatever its line ends', async () => {
    expect(await run('--check')).toMatchObject({ code: 0, stdout: '' })
    const text = await readFile(out, 'utf8')
    await writeFile(out, text.replaceAll('\n', '\r\n'))
    expect(await run('--check')).toMatchObject({ code: 0, stdout: '' })
    await writeFile(out, text)
  })

  it('--check ends with 1 and shows what changed, without writing', async () => {
    const before = await readFile(out, 'utf8')
    await db.admin.query(
      `alter table public.memories add column pinned boolean not null default false`,
    )
    const { code, stdout, stderr } = await run('--check')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^\+ {2}pinned: boolean$/m)
    expect(stdout).toMatch(/^\+ {2}pinned\?: boolean$/m)
    expect(stdout.match(/^-[^-]/gm)).toBeNull()
    expect(stderr).toMatch(/ is out of date\.\nHINT: Run the same command without --check/)
    expect(await readFile(out, 'utf8')).toBe(before)
    expect((await run()).stderr).toContain('written')
    expect(await run('--check')).toMatchObject({ code: 0 })
  })

  it('--check sees what a role may no longer do', async () => {
    await db.admin.query('revoke delete on public.events from tenantry_user')
    const { code, stdout } = await run('--check')
    expect(code).toBe(1)
    expect(stdout).toMatch(/^- {2}Deletes<EventsFilter>/m)
    await run()
  })

  it('--check finds a missing file', async () => {
    await rm(out)
    const { code, stdout, stderr } = await run('--check')
    expect(code).toBe(1)
    expect(stderr).toContain(`${out} is not there.`)
    expect(stdout).toContain('+export interface MemoriesRow')
  })

  it('--camel converts names in TypeScript alone', async () => {
    await run('--camel', '--schema', 'public')
    const text = await readFile(out, 'utf8')
    expect(text).toContain('readonly auditTrail: AuditTrailAccessor')
    expect(text).toContain('createdAt: Date')
    expect(text).toContain(`{ name: 'created_at', as: 'createdAt', notNull: true }`)
    expect(text).not.toContain('billing')
  })

  it('explains what it cannot do', async () => {
    expect(await run('--role', 'nobody_at_all')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no role "nobody_at_all"') as string,
    })
    expect(await run('--schema', 'nowhere')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('There is no schema "nowhere"') as string,
    })
    expect(await run('--check', '--watch')).toMatchObject({ code: 1 })
  })

  it('--watch follows the schema until it is stopped', async () => {
    const client = await db.admin.connect()
    const stop = new AbortController()
    const texts: string[] = []
    let changed = (): void => undefined
    const next = () => new Promise<void>((resolve) => (changed = resolve))
    let change = next()
    const watching = watch(
      client,
      {},
      {
        signal: stop.signal,
        pollMilliseconds: 10,
        onChange: (text) => Promise.resolve(texts.push(text)).then(() => changed()),
      },
    )
    await change
    change = next()
    await db.admin.query('alter table public.agents add column nickname text')
    await change
    stop.abort()
    await watching
    client.release()
    expect(texts.map((text) => text.includes('nickname'))).toEqual([false, true])
  })
})
