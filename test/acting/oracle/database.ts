import type pg from 'pg'
import { testDatabase, type TestDatabase } from '../../support/database.js'
import { chained, issuer } from './credentials.js'
import { applicationTables, declarations, probe, probeEnter } from './schema.js'
import type { Question } from './questions.js'
import type { Statements } from './statements.js'
import type { Chain } from './terms.js'

/** A database of the oracle: asked by the application's login, changed by the superuser. */
export class OracleDatabase {
  private constructor(
    readonly db: TestDatabase,
    private readonly app: pg.Client,
    private readonly admin: pg.Client,
  ) {}

  static async open(): Promise<OracleDatabase> {
    const db = await testDatabase()
    const owner = await db.role('owner', { allow: 'admin', ordinary: false })
    const app = await db.role('app', { allow: 'user' })
    await db.admin.query('select tenantry.register_issuer($1, $2)', [issuer.keyId, issuer.key])
    await db.admin.query(`
      grant create, usage on schema public to "${owner.name}";
      set role "${owner.name}"; ${applicationTables}; reset role;
      ${declarations}; ${probe}; ${probeEnter}`)
    const pgModule = await import('pg')
    const admin = new pgModule.default.Client({ connectionString: db.url() })
    await admin.connect()
    return new OracleDatabase(db, await app.connect(), admin)
  }

  async close(): Promise<void> {
    await this.admin.end()
    await this.db.drop()
  }

  /** What the superuser does. */
  async change(statements: readonly string[]): Promise<void> {
    if (statements.length > 0) await this.admin.query(statements.join(';\n'))
  }

  /** Empties every table; entities stay behind as gone. */
  async empty(): Promise<void> {
    await this.change(
      [
        ...[
          'notes',
          'ledgers',
          'memories',
          'org_members',
          'org_parents',
          'participants',
          'channels',
        ],
        ...['users', 'orgs', 'agents', 'rooms'],
      ].map((table) => `delete from ${table}`),
    )
  }

  /** A delegation by a chain, which stays: its id and what it was passed on from, or the SQLSTATE. */
  async give(
    statements: Statements,
    by: Chain,
    sql: string,
  ): Promise<{ id: string; parent: string | null } | string> {
    await this.app.query('begin')
    try {
      await this.app.query('select tenantry.enter($1)', [this.credential(statements, by)])
      const { rows } = await this.app.query<{ delegate: string }>(sql)
      await this.app.query('commit')
      const id = rows[0]?.delegate ?? ''
      const found = await this.admin.query<{ parent: string | null }>(
        'select parent from tenantry_private.delegations where id = $1',
        [id],
      )
      return { id, parent: found.rows[0]?.parent ?? null }
    } catch (error) {
      await this.app.query('rollback')
      return codeOf(error)
    }
  }

  /** How entering ends, for each chain. */
  async enter(statements: Statements, chains: readonly Chain[]): Promise<string[]> {
    const credentials = chains.map((chain) => this.credential(statements, chain))
    const { rows } = await this.app.query<{ answers: string[] }>(
      'select probe_enter($1) as answers',
      [credentials],
    )
    return rows[0]?.answers ?? []
  }

  /** What a chain, or nobody, is answered. Nothing of it stays. */
  async ask(
    statements: Statements,
    chain: Chain | null,
    questions: readonly Question[],
  ): Promise<string[] | string> {
    await this.app.query('begin')
    try {
      if (chain !== null) {
        await this.app.query('select tenantry.enter($1)', [this.credential(statements, chain)])
      }
      const { rows } = await this.app.query<{ answers: string[] }>('select probe($1) as answers', [
        questions.map(({ sql }) => sql),
      ])
      return rows[0]?.answers ?? []
    } catch (error) {
      return codeOf(error)
    } finally {
      await this.app.query('rollback')
    }
  }

  private credential(statements: Statements, chain: Chain): string {
    return chained(
      this.db.name,
      chain.map((name) => statements.entity(name)),
    )
  }
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: string }
  if (code === undefined) throw error
  return code
}
