import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Survey } from '../../src/survey/index.js'
import { elizaosTemplate } from '../fixtures/elizaos/template.js'
import { fixtureFile } from '../fixtures/elizaos/schema-files.js'
import { testDatabase, type TestDatabase } from '../support/database.js'
import { applied, classes, proposalFor, surveyAgain } from './surveyed.js'

let db: TestDatabase
let found: Survey

beforeAll(async () => {
  db = await testDatabase({ template: elizaosTemplate() })
  await db.admin.query('analyze')
  const owner = await db.role('eliza_owner')
  const runtime = await db.role('eliza_runtime')
  found = await surveyAgain(db, { owner: owner.name, runtimeLogin: runtime.name })
})

afterAll(() => db.drop())

describe('the survey of elizaOS’s later schema, loaded and owned by a superuser', () => {
  it('finds people, their agents and organisations', () => {
    expect(found.kinds.map(({ kind, owner }) => ({ kind, owner: owner?.kind ?? null }))).toEqual([
      { kind: 'user', owner: null },
      { kind: 'agent', owner: 'user' },
      { kind: 'organization', owner: null },
    ])
  })

  it('leaves one table of twenty-two to a person', () => {
    const open = Object.entries(classes(found)).filter(([, each]) => each === 'undecided')
    expect(found.proposals).toHaveLength(22)
    expect(open).toEqual([['servers', 'undecided']])
  })

  it('sees by the rows which references cross owners, as those who know the schema wrote down', () => {
    const byHand = [
      ...fixtureFile('protect.sql').matchAll(
        /protect\('\w+\.(\w+)',\s+owner_column => '\w+',\s+owner_kind => '\w+',\s+unchecked_references => '\{([^}]*)\}'/g,
      ),
    ]
    expect(byHand.length).toBeGreaterThan(5)
    for (const [, table = '', columns = ''] of byHand) {
      // None of the few tasks here is for an agent of somebody else: rows tell only what they hold.
      if (table === 'tasks') continue
      const proposed = /unchecked_references => '\{([^}]*)\}'/.exec(
        proposalFor(found, table).statements.join(),
      )?.[1]
      expect(proposed?.split(','), table).toEqual(expect.arrayContaining(columns.split(/, ?/)))
    }
  })

  it('leads to an empty check with one statement chosen', async () => {
    const decided = found.proposals.map((each) => {
      const shared = each.alternatives.find((other) => other.reason === 'everybody may read it')
      return each.table.name === 'servers'
        ? { ...each, statements: [...each.statements, ...(shared?.statements ?? [])] }
        : each
    })
    const { out, check } = await applied({ db, found: { ...found, proposals: decided } })
    expect(out).toContain(' 0 refused, 0 left')
    expect(check).toBe('Nothing stands open.\n')
  })
})
