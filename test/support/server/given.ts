import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { dropDatabase } from '../database/drop.js'
import { withDatabase } from './url.js'
import { SourceUnavailable, type Major, type TestServer } from './types.js'

/** A server that somebody else runs. We only ever remove what this run made in it. */
export async function useGivenServer(major: Major, url: string | undefined): Promise<TestServer> {
  if (!url) throw new SourceUnavailable('TENANTRY_TEST_URL is not set')
  const { version, superuser } = await inspect(url)
  if (Math.floor(version / 10_000) !== major) {
    throw new SourceUnavailable(`TENANTRY_TEST_URL is a PostgreSQL ${Math.floor(version / 10_000)}`)
  }
  if (!superuser) throw new Error('TENANTRY_TEST_URL must be the URL of a superuser')
  const runId = randomBytes(4).toString('hex')
  return {
    major,
    source: 'the server that TENANTRY_TEST_URL names',
    url,
    installs: 'script',
    logFile: null,
    runId,
    adminUrl: (database) => withDatabase(url, database),
    stop: () => removeLeftovers(url, runId),
    keep: () => 'nothing: it is not ours to stop',
  }
}

async function inspect(url: string): Promise<{ version: number; superuser: boolean }> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ version: number; superuser: boolean }>(
      `select current_setting('server_version_num')::int as version,
              current_setting('is_superuser') = 'on'     as superuser`,
    )
    const [row] = rows
    if (!row) throw new Error('the server did not answer')
    return row
  } finally {
    await client.end()
  }
}

async function removeLeftovers(url: string, runId: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const pattern = `%\\_${runId}\\_%`
    const databases = await client.query<{ name: string }>(
      'select datname as name from pg_database where datname like $1',
      [pattern],
    )
    for (const { name } of databases.rows) await dropDatabase(client, name)
    const roles = await client.query<{ name: string }>(
      'select rolname as name from pg_roles where rolname like $1',
      [pattern],
    )
    for (const { name } of roles.rows) await client.query(`drop role ${pg.escapeIdentifier(name)}`)
  } finally {
    await client.end()
  }
}
