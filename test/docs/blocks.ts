import { readFileSync } from 'node:fs'
import { expect } from 'vitest'

/** A fenced block of a Markdown file. */
export interface Block {
  readonly language: string
  /** What stands behind the language, such as `run=dba`. */
  readonly run: string | undefined
  readonly text: string
  readonly line: number
}

/** The statements of the one block that somebody runs; procedures commit, so each is a message of its own. */
export function statementsOf(blocks: readonly Block[], who: string): string[] {
  const found = blocks.filter((block) => block.run === who)
  expect(found).toHaveLength(1)
  return found[0]!.text.split(/;\s*\n/).filter(Boolean)
}

/** The fenced blocks of a Markdown file, in order. */
export function blocksOf(path: string): Block[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  const blocks: Block[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^```(\w+)(?: run=(\w+))?$/.exec(lines[at] ?? '')
    if (!fence) continue
    const end = lines.indexOf('```', at + 1)
    if (end < 0) throw new Error(`${path}:${at + 1}: a block that does not end`)
    blocks.push({
      language: fence[1] ?? '',
      run: fence[2],
      text: lines.slice(at + 1, end).join('\n'),
      line: at + 1,
    })
    at = end
  }
  return blocks
}
