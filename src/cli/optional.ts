import { existsSync } from 'node:fs'
import type { Command } from 'commander'

/**
 * The demo starts a server of its own with what only the repository installs, so it is there in the
 * repository and its builds, and looked for only when it may be wanted.
 */
export async function demoCommand(): Promise<Command[]> {
  const module = ['js', 'ts']
    .map((extension) => new URL(`./demo.${extension}`, import.meta.url))
    .find((url) => existsSync(url))
  if (!module) return []
  const { demoCommand: make } = (await import(module.href)) as { demoCommand: () => Command }
  return [make()]
}
