import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { protectedBase } from './support/protected-base.js'
import { refusal, type Finding, type Stage } from './support/stage.js'
import { anna } from './support/table-classes.js'

// What the server itself lacks. The table of fixes is asked for versions that no test runs on, and proved on the one at hand.

let on: Stage
beforeAll(async () => {
  on = await protectedBase()
})
afterAll(() => on.drop())

const findings = async (version: number | null = null) =>
  (
    await on.db.admin.query<Finding>(
      `select * from tenantry_private.server_findings(${version ?? "current_setting('server_version_num')::integer"})`,
    )
  ).rows

const accept = (version: string | null) =>
  on.db.admin.query(`select tenantry.configure('accepted_server', $1)`, [version])

async function undone(work: () => Promise<void>): Promise<void> {
  const { rows } = await on.db.admin.query<{ value: string }>(
    `select value from tenantry.settings where setting = 'accepted_server'`,
  )
  try {
    await work()
  } finally {
    await accept(rows[0]!.value)
  }
}

describe('the fixes that a server lacks', () => {
  it.each([
    [150002, 'critical', '15.20', ['CVE-2026-120154', 'CVE-2023-2455', 'CVE-2023-39418']],
    [150019, 'critical', '15.20', ['CVE-2026-120154']],
    [150020, undefined, undefined, []],
    [160010, 'critical', '16.16', ['CVE-2026-120154', 'CVE-2026-2005']],
    [170000, 'critical', '17.12', ['CVE-2024-10976', 'CVE-2024-10978', 'CVE-2025-8713']],
    [180006, 'critical', '18.7', ['CVE-2026-120154']],
    [180007, undefined, undefined, []],
    [190000, undefined, undefined, []],
  ])('of %i: %s, as far as %s', (version, severity, upTo, some) =>
    undone(async () => {
      await accept(null)
      const [finding] = await findings(version)
      expect(finding?.severity).toBe(severity)
      if (finding === undefined) return
      const name = `${Math.floor(version / 10000)}.${version % 10000}`
      expect(finding).toMatchObject({ code: 'server_outdated', object: `PostgreSQL ${name}` })
      for (const cve of some) expect(finding.problem).toContain(cve)
      // No statement installs a server; what a statement can do is to accept it.
      expect(finding.fix).toBe(
        `-- install PostgreSQL ${upTo} or later and restart; where that must wait: select tenantry.configure('accepted_server', '${name}');`,
      )
      await on.db.admin.query(finding.fix.slice(finding.fix.indexOf('select')))
      expect((await findings(version)).map((each) => each.severity)).toEqual(['info'])
      // Accepted for this minor version and later ones of this major version, not for earlier ones.
      if (version % 10000 > 0)
        expect((await findings(version - 1)).map((each) => each.severity)).toEqual(['critical'])
    }),
  )

  it('are found by check() unless the version is accepted', () =>
    undone(async () => {
      await accept(null)
      const lacking = await findings()
      const outdated = (
        await on.db.admin.query<Finding>(`select * from tenantry.check('info')`)
      ).rows.filter(({ code }) => code === 'server_outdated')
      expect(outdated).toEqual(lacking)
    }))

  it.each(['18', 'all', '18.4.1', '', '0.0'])('are not accepted by the word %o', async (value) => {
    expect(await refusal(accept(value))).toMatchObject({ code: '22023' })
  })
})

it('CVE-2026-120154 gives a row of somebody else away just where the table says that its fix is missing', async () => {
  const missing = (
    await on.db.admin.query(
      `select from tenantry_private.missing_fixes(current_setting('server_version_num')::integer) where cve = 'CVE-2026-120154'`,
    )
  ).rowCount
  const insert = `insert into notes (id, body) values (2, 'mine') on conflict (id) do update set body = 'mine'`
  const told = await on.as(anna, async (client) => {
    expect((await client.query('select from notes where id = 2')).rowCount).toBe(0)
    // The control: without WHERE the row of somebody else is refused on every server.
    await client.query('savepoint before')
    expect((await refusal(client.query(insert))).code).toBe('42501')
    await client.query('rollback to savepoint before')
    const told = await refusal(client.query(`${insert} where notes.body::int = 1`))
    await client.query('rollback to savepoint before')
    return told
  })
  if (missing === 0) expect(told.code).toBe('42501')
  else
    expect(told).toMatchObject({
      code: '22P02',
      message: expect.stringContaining('"Bert"') as string,
    })
})
