import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../../support/repository.js'
import { besides, designed } from './lines.js'
import { page } from './page.js'
import { naive } from './naive-names.js'
import { type Verdict, verdicts } from './verdicts.js'

const folder = new URL('..', import.meta.url)
const named = /\battack\(\s*(?:'([^']+)'|`([^`]+)`)/g
const all = Object.entries<Verdict>(verdicts)
const here = all.filter(([, { elsewhere }]) => !elsewhere)
const read = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8')
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ')

/** A name with `${…}` in it, as a pattern. */
function shapeOf(name: string): string {
  return name
    .split(/\$\{[^}]*\}/)
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[\\w, ]+')
}

/** The attacks in the test files with their texts, with what is filled in where a name is made in a loop. */
function tests(): { name: string; text: string }[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.test.ts'))
  return files.flatMap((file) => {
    const source = readFileSync(new URL(file, folder), 'utf8')
    const found = [...source.matchAll(named)]
    return found.flatMap(({ 1: plain, 2: pattern = '', index }, n) => {
      const text = source.slice(index, found[n + 1]?.index)
      if (plain !== undefined) return [{ name: plain, text }]
      const shape = new RegExp(`^${shapeOf(pattern)}$`)
      return Object.keys(verdicts)
        .filter((name) => shape.test(name))
        .map((name) => ({ name, text }))
    })
  })
}

describe('the verdicts', () => {
  it('stand for exactly the attacks that are tested, each once', () => {
    const names = tests().map(({ name }) => name)
    expect(names.sort()).toEqual(here.map(([name]) => name).sort())
    for (const [name, { elsewhere }] of all) {
      if (!elsewhere) continue
      expect(read(elsewhere.file), name).toContain(`('${elsewhere.test}'`)
    }
  })

  it('say who could try it and what closes it or remains', () => {
    for (const [name, { by, because }] of all) {
      expect(by.length, name).toBeGreaterThan(3)
      expect(because.length, name).toBeGreaterThan(3)
    }
  })

  it('behind PgBouncer may be skipped where there is none', () => {
    const skipped = read('test/support/may-skip.json')
    for (const [name, { verdict }] of all.filter(([key]) => key.startsWith('behind PgBouncer'))) {
      expect(skipped).toContain(` > ${name}: ${verdict}"`)
    }
  })

  it('name the page where users read of what remains, which says it', () => {
    for (const [name, { verdict, stated }] of all) {
      expect(stated !== undefined, name).toBe(verdict === 'stated residual')
      if (!stated) continue
      expect(oneLine(read(`extension/doc/${stated.page}`)), name).toContain(stated.says)
    }
  })

  it('have a control: in the test, on the naive stage, or by what remains', () => {
    const naively = new Set<string>(Object.values(naive).flat())
    const without = tests().filter(({ name, text }) => {
      const residual = (verdicts as Record<string, Verdict>)[name]?.verdict === 'stated residual'
      return !residual && !naively.has(name) && !/\b(control|both)\(/.test(text)
    })
    expect(without.map(({ name }) => name)).toEqual([])
    const stage = read('test/attacks/controls.test.ts')
    for (const what of Object.keys(naive)) expect(stage).toContain(`naively('${what}'`)
    for (const name of naively) expect(Object.keys(verdicts)).toContain(name)
    for (const [name, { elsewhere }] of all) {
      if (elsewhere) expect(elsewhere.control.length, name).toBeGreaterThan(3)
    }
  })
})

describe('the lines of the design', () => {
  const lines = { ...designed, ...besides }

  it('have attacks, and every attack has a line', () => {
    for (const [line, attacks] of Object.entries(lines)) {
      expect(attacks.length, line).toBeGreaterThan(0)
    }
    const listed = [...new Set<string>(Object.values(lines).flat())]
    expect(listed.sort()).toEqual(Object.keys(verdicts).sort())
  })

  it('stand in extension/doc/attacks.md, which `vitest run --project unit test/attacks --update` writes', async () => {
    const file = join(repositoryRoot, 'extension/doc/attacks.md')
    if (existsSync(file)) expect(read('README.md')).toContain('extension/doc/attacks.md')
    await expect(await page()).toMatchFileSnapshot(file)
  })
})
