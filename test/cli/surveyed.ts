import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { render, survey, type Proposal, type Survey } from '../../src/survey/index.js'
import type { SurveyOptions } from '../../src/survey/survey.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { cli } from './cli.js'

/** A database and what the survey says of it. */
export interface Surveyed {
  readonly db: TestDatabase
  readonly found: Survey
}

export const accounts = 'create table accounts (id bigint primary key, name text);'

/** Surveys a schema that an ordinary login made, or the superuser. */
export async function surveyOf(
  sql: string,
  options: SurveyOptions & { superuser?: boolean } = {},
): Promise<Surveyed> {
  const db = await testDatabase()
  const owner = await db.role('owner', { ordinary: false })
  const runtime = await db.role('runtime')
  await db.admin.query(`grant create on schema public to ${owner.name}`)
  await db.admin.query(`grant create on database "${db.name}" to ${owner.name}`)
  if (options.superuser) await db.admin.query(sql)
  else await owner.pool().query(sql)
  await db.admin.query('analyze')
  return { db, found: await surveyAgain(db, { runtimeLogin: runtime.name, ...options }) }
}

export async function surveyAgain(db: TestDatabase, options: SurveyOptions = {}): Promise<Survey> {
  const client = await db.admin.connect()
  try {
    return await survey(client, options)
  } finally {
    client.release()
  }
}

export function proposalFor(found: Survey, table: string): Proposal {
  const proposal = found.proposals.find((each) => each.table.name === table)
  if (!proposal) throw new Error(`no proposal for ${table}`)
  return proposal
}

export const classes = (found: Survey): Record<string, string> =>
  Object.fromEntries(found.proposals.map((each) => [each.table.name, each.class]))

/** Carries the survey's file out as it is, and says what check() finds then. */
export async function applied({ db, found }: Surveyed): Promise<{ out: string; check: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-survey-'))
  try {
    const file = join(folder, 'tenantry.sql')
    writeFileSync(file, render(found))
    const { out, err } = await cli(['apply', file], { url: db.url() })
    expect(err).toBe('')
    return { out, check: (await cli(['check'], { url: db.url() })).out }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
