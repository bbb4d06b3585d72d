import { execFileSync } from 'node:child_process'

/** The account that PostgreSQL's programs run as, when it is not our own. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/**
 * PostgreSQL refuses to run as root. As root, the account of an ordinary user that exists
 * anyway; as an ordinary user `null`, meaning "stay who you are".
 */
export function serverAccount(): Account | null {
  if (process.getuid?.() !== 0) return null
  for (const name of ['postgres', 'nobody']) {
    const uid = numericId('-u', name)
    const gid = numericId('-g', name)
    if (uid !== null && gid !== null && uid !== 0) return { name, uid, gid }
  }
  throw new Error('PostgreSQL refuses root, and there is no user "postgres" or "nobody" to run as')
}

function numericId(flag: '-u' | '-g', name: string): number | null {
  try {
    const id = execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] })
    return Number(id.toString().trim())
  } catch {
    return null // `id` says so with its exit code: no such user
  }
}
