import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

it('the types of generated code are compiled, strictly, by every build', () => {
  const file = join(root, 'tsconfig.json')
  const { config } = ts.readConfigFile(file, (name) => ts.sys.readFile(name))
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  for (const name of ['types.ts', 'secret-types.ts', 'reach-types.ts']) {
    expect(fileNames).toContain(join(import.meta.dirname, name))
  }
  expect(options).toMatchObject({ strict: true, exactOptionalPropertyTypes: true })
})
