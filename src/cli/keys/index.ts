import { Command } from 'commander'
import type { Io } from '../io.js'
import { createCommand } from './create.js'
import { finishRotationCommand } from './finish-rotation.js'
import { listCommand } from './list.js'
import { registerCommand } from './register.js'
import { removeCommand } from './remove.js'
import { rotateCommand } from './rotate.js'
import { rotateDataCommand } from './rotate-data.js'
import { shareCommand } from './share.js'
import { shredCommand } from './shred.js'
import { statusCommand } from './status.js'

const commands = [
  registerCommand,
  listCommand,
  removeCommand,
  createCommand,
  statusCommand,
  shareCommand,
  rotateCommand,
  finishRotationCommand,
  rotateDataCommand,
  shredCommand,
]

/** `tenantry keys`: which keys may issue credentials for this database, and the keys of its secrets. */
export function keysCommand(io: Io): Command {
  const keys = new Command('keys')
    .description('Which keys may issue credentials for a database, and the keys of its secrets.')
    .addHelpText(
      'after',
      `
The key is derived from TENANTRY_SECRET, the secret the application gives to tenantry(pool, { secret }).
The secret itself is never sent and never printed. Several keys may stand side by side while they rotate.

Examples:
  TENANTRY_SECRET=… tenantry keys register
  tenantry keys list
  tenantry keys remove 3q2-7wAAQkFz1x9Y
  TENANTRY_SECRET=… tenantry keys create         # for encrypted columns`,
    )
  for (const make of commands) keys.addCommand(make(io))
  return keys
}
