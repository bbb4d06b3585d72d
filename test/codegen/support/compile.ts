import { join } from 'node:path'
import ts from 'typescript'

const root = join(import.meta.dirname, '..', '..', '..')

/**
 * Compiles files that exist in memory alone, under the repository's own strict options, and returns
 * what the compiler says.
 */
export function diagnostics(files: ReadonlyMap<string, string>): string[] {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (name) => ts.sys.readFile(name))
  const { options } = ts.convertCompilerOptionsFromJson(
    { ...(config.config as { compilerOptions: object }).compilerOptions, noEmit: true, types: [] },
    root,
  )
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (name) => files.has(name) || fileExists(name)
  host.readFile = (name) => files.get(name) ?? readFile(name)
  host.getSourceFile = (name, ...rest) => {
    const text = files.get(name)
    return text === undefined
      ? getSourceFile(name, ...rest)
      : ts.createSourceFile(name, text, rest[0])
  }
  const program = ts.createProgram([...files.keys()], options, host)
  return ts.getPreEmitDiagnostics(program).map(text)
}

function text({ file, start, messageText }: ts.Diagnostic): string {
  const place = file
    ? `${file.fileName}:${file.getLineAndCharacterOfPosition(start ?? 0).line + 1} `
    : ''
  return place + ts.flattenDiagnosticMessageText(messageText, '\n')
}
