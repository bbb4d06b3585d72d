import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { createTwoFilesPatch } from 'diff'

export interface Drift {
  /** The file is missing or differs from what the database says. */
  readonly stale: boolean
  /** A unified diff from the file to what it should be; empty when it is up to date. */
  readonly diff: string
}

/** Compares a generated file with what would be generated now. */
export async function checkFile(path: string, expected: string): Promise<Drift> {
  const current = await readIfThere(path)
  // A checkout may have rewritten the line ends; that is no drift.
  const text = current?.replaceAll('\r\n', '\n') ?? ''
  if (current !== null && text === expected) return { stale: false, diff: '' }
  const name = basename(path)
  return {
    stale: true,
    diff: createTwoFilesPatch(name, name, text, expected, 'on disk', 'in the database'),
  }
}

/**
 * Replaces the file as a whole: a reader, or a build that runs meanwhile, sees the old text or the
 * new one. Returns false, and leaves the file's time alone, when nothing changed.
 */
export async function writeFileAtomically(path: string, text: string): Promise<boolean> {
  if ((await readIfThere(path)) === text) return false
  await mkdir(dirname(path), { recursive: true })
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  try {
    await writeFile(temporary, text, { flag: 'wx' })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  return true
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
