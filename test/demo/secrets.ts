import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { text } from 'node:stream/consumers'
import { identity, tenantry } from '../../src/index.js'
import { table } from '../../src/cli/table.js'
import type { StoredSecret } from '../fixtures/elizaos/sealed-settings.js'
import type { Checks } from './checks.js'
import type { Stage } from './stage.js'

const user = identity('user')

/** The secrets of one row in clear. */
type Clear = Readonly<Record<string, string>>

const queries = {
  agents: `select id, settings -> 'secrets' as secrets from AGENTS where settings ? 'secrets'`,
  user_characters: `select id, secrets from CHARACTERS where secrets <> '{}'`,
} as const
const relations = Object.keys(queries) as (keyof typeof queries)[]
const of = (relation: keyof typeof queries, schema: string) =>
  queries[relation].replace(/AGENTS|CHARACTERS/, `${schema}.${relation}`)

/** The same secrets as everybody sees them who might look: in the table, in a dump, as their owner. */
export async function secretsSideBySide(
  stage: Stage,
  checks: Checks,
  width: number,
): Promise<string> {
  const { truth, secret } = stage
  const { heavy: owner, ordinary: other } = truth.identities
  const db = tenantry(new pg.Pool({ connectionString: stage.app.url, max: 2 }), { secret })
  type Rows = { id: string; secrets: unknown }[]
  const asUser = async (id: string, query: string) =>
    (await db.as(user(id)).query(query)).rows as Rows
  const asSuperuser = async (query: string) => (await stage.db.admin.query(query)).rows as Rows
  const rows: string[][] = []
  try {
    for (const relation of relations) {
      const inTable = of(relation, 'public')
      const inView = of(relation, 'tenant')
      const stored = truth.secrets(relation)
      const clear = new Map([...stored].map(([id, secrets]) => [id, opened(secrets)]))
      const [raw, superuser, superusersView, owners, others, dumped] = await Promise.all([
        asUser(owner.id, inTable),
        asSuperuser(inTable),
        asSuperuser(inView),
        asUser(owner.id, inView),
        asUser(other.id, inView),
        dump(stage, relation),
      ])
      const shown = owners.find(({ id }) => clear.has(id))
      if (!shown) throw new Error(`${owner.name} has no secrets in ${relation}`)
      const cell = (found: Rows): string => {
        const row = found.find(({ id }) => id === shown.id)
        return row ? JSON.stringify(row.secrets) : 'no such row'
      }
      const line = dumped.text.split('\n').find((text) => text.startsWith(shown.id)) ?? ''

      const sealed = ({ secrets }: Rows[number]) =>
        typeof secrets === 'string' && /^tn1:/.test(secrets)
      const values = [...clear.values()].flatMap((secrets) => Object.values(secrets))
      const leaks = (content: string) => values.filter((value) => content.includes(value)).length
      const say = (claim: string, held: boolean) => checks.holds(`${relation}: ${claim}`, held)
      say('the raw rows hold sealed values alone', raw.length > 0 && raw.every(sealed))
      say(
        `a superuser reads sealed values of all ${String(stored.size)} rows with secrets`,
        superuser.filter(({ id }) => stored.has(id)).length === stored.size &&
          superuser.every(sealed),
      )
      say('a superuser without a context sees nothing decrypted', superusersView.length === 0)
      say(
        `none of ${String(values.length)} secrets is in a dump`,
        values.length > 0 &&
          line.includes('tn1:') &&
          leaks(dumped.text) === 0 &&
          leaks(JSON.stringify(owners)) > 0,
      )
      const everybodys: Rows = []
      for (const { id } of [...truth.identities.users, truth.identities.platform]) {
        everybodys.push(...(await asUser(id, inView)))
      }
      say(
        `everybody together reads the ${String(clear.size)} rows with secrets, each as it was`,
        everybodys.length === clear.size &&
          everybodys.every(({ id, secrets }) => same(secrets, clear.get(id) ?? {})),
      )
      say(
        `${other.name} sees none of them`,
        others.every(({ id }) => !owners.some((mine) => mine.id === id)),
      )
      rows.push(
        [`${relation}: the row`, cell(raw)],
        ['  a superuser’s select', cell(superuser)],
        [`  ${dumped.by}`, /tn1:[A-Za-z0-9+/=]+/.exec(line)?.[0] ?? line],
        [`  tenant.${relation}, ${owner.name}`, cell(owners)],
        [`  tenant.${relation}, ${other.name}`, cell(others)],
        [`  tenant.${relation}, a superuser`, cell(superusersView)],
      )
    }
    return table(
      ['who looks where', 'what is there'],
      rows.map(([who, what]) => [who ?? '', shorten(what ?? '')]),
      width,
    )
  } finally {
    await db.end()
  }
}

/** What the owner is to read: v2 values are the application's to open, in the database as outside of it. */
function opened(secrets: Readonly<Record<string, StoredSecret>>): Clear {
  return Object.fromEntries(
    Object.entries(secrets).map(([name, { state, plaintext, stored }]) => [
      name,
      state === 'v2' ? stored : plaintext,
    ]),
  )
}

const same = (found: unknown, expected: Clear): boolean => {
  const entries = (value: object) => JSON.stringify(Object.entries(value).sort())
  return typeof found === 'object' && found !== null && entries(found) === entries(expected)
}

const shorten = (value: string): string => (value.length > 64 ? `${value.slice(0, 63)}…` : value)

/** A table as a dump holds it: by pg_dump, where the machine has one for this server, else by COPY, which it uses. */
async function dump(stage: Stage, relation: string): Promise<{ by: string; text: string }> {
  if ((await majorOfPgDump()) >= stage.db.major) {
    const { stdout } = await run(
      'pg_dump',
      ['--data-only', '--table', `public.${relation}`, stage.db.url()],
      { maxBuffer: 1 << 28 },
    )
    return { by: 'pg_dump', text: stdout }
  }
  const client = await stage.db.admin.connect()
  try {
    const stream = client.query(copyTo(`copy public.${relation} to stdout`))
    return { by: 'a dump (COPY)', text: await text(stream) }
  } finally {
    client.release()
  }
}

const run = promisify(execFile)

async function majorOfPgDump(): Promise<number> {
  try {
    const { stdout } = await run('pg_dump', ['--version'])
    return Number(/ (\d+)/.exec(stdout)?.[1] ?? 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}
