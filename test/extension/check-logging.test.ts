import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { logging } from './support/corpus/logging.js'
import { loggingFindings, loggingStage, type LoggingStage } from './support/logging.js'
import { quoted } from './support/stage.js'

// Each setting of which check() says that it logs something is proved to log just that, and its fix to end it.

let on: LoggingStage
beforeAll(async () => {
  on = await loggingStage()
})
afterAll(() => on.drop())

const database = () => quoted(on.db.name)
const login = () => quoted(on.app.name)

const of = inject('server').major < 16 ? 15 : 18
const cases = logging.filter(({ only = of }) => only === of)

describe('what a login leaves in the log', () => {
  it.each(cases)('$name', async ({ database: common = [], login: own = [], found, leaves }) => {
    const { admin } = on.db
    try {
      for (const setting of common) await admin.query(`alter database ${database()} set ${setting}`)
      for (const setting of own)
        await admin.query(`alter role ${login()} in database ${database()} set ${setting}`)
      const named = (await loggingFindings(on.db.admin)).map(on.short)
      expect(named.toSorted()).toEqual([...found].toSorted())
      expect(await on.left()).toEqual(leaves)
      let open = named
      for (const which of found) {
        const finding = (await loggingFindings(on.db.admin)).find(
          (each) => on.short(each) === which,
        )
        if (finding === undefined) continue // fixed with the one before it
        await admin.query(finding.fix)
        const after = (await loggingFindings(on.db.admin)).map(on.short)
        expect(after).not.toContain(which)
        expect(open).toEqual(expect.arrayContaining(after))
        open = after
      }
      expect(await loggingFindings(on.db.admin)).toEqual([])
      expect(await on.left()).toEqual([])
    } finally {
      await admin.query(`alter database ${database()} reset all`)
      await admin.query(`alter role ${login()} in database ${database()} reset all`)
    }
  })
})
