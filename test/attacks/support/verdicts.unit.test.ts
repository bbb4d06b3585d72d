import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { verdicts } from './verdicts.js'

const folder = new URL('..', import.meta.url)
const named = /\battack\(\s*(?:'([^']+)'|`([^`]+)`)/g

/** A name with `${…}` in it, as a pattern. */
function shapeOf(name: string): string {
  return name
    .split(/\$\{[^}]*\}/)
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[\\w ]+')
}

/** The names in the test files, with what is filled in where a name is made in a loop. */
function testedNames(): string[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.test.ts'))
  return files.flatMap((file) =>
    [...readFileSync(new URL(file, folder), 'utf8').matchAll(named)].flatMap(
      ([, plain, pattern = '']) => {
        if (plain !== undefined) return [plain]
        const shape = new RegExp(`^${shapeOf(pattern)}$`)
        return Object.keys(verdicts).filter((name) => shape.test(name))
      },
    ),
  )
}

describe('the verdicts', () => {
  it('stand for exactly the attacks that are tested, each once', () => {
    expect(testedNames().sort()).toEqual(Object.keys(verdicts).sort())
  })

  it('say who could try it and what closes it or remains', () => {
    for (const [name, { by, because }] of Object.entries(verdicts)) {
      expect(by.length, name).toBeGreaterThan(3)
      expect(because.length, name).toBeGreaterThan(3)
    }
  })
})
