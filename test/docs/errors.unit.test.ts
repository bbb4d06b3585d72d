import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { repositoryRoot } from '../support/repository.js'

const read = (...path: string[]) => readFileSync(join(repositoryRoot, ...path), 'utf8')

test('errors.md explains every code of the runtime, and no other', () => {
  const codes = [...read('src', 'errors.ts').matchAll(/^ {2}\| '(TN\w+)'/gm)].map(
    ([, code]) => code,
  )
  const explained = [...read('extension', 'doc', 'errors.md').matchAll(/^\| `(TN\w+)`/gm)]
  expect(codes.length).toBeGreaterThan(20)
  expect(explained.map(([, code]) => code).sort()).toEqual(codes.sort())
})
