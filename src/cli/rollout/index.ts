import { Command } from 'commander'
import type { Io } from '../io.js'
import { impactCommand } from './impact.js'
import { planCommand } from './plan.js'
import { quarantineCommand } from './quarantine.js'
import { resolveCommand } from './resolve.js'
import { statusCommand } from './status.js'
import { toCommand } from './to.js'

const commands = [
  planCommand,
  toCommand,
  statusCommand,
  impactCommand,
  quarantineCommand,
  resolveCommand,
]

/** `tenantry rollout`: isolation for tables that are full and in use. */
export function rolloutCommand(io: Io): Command {
  const rollout = new Command('rollout')
    .description('Isolate tables that are full and in use, in states that can be undone.')
    .addHelpText(
      'after',
      `
Rollouts and signals are declared in SQL: tenantry.rollout(), tenantry.rollout_signal(). Log in as the owner of the tables.

Examples:
  tenantry rollout plan
  tenantry rollout to backfilled
  tenantry rollout quarantine memories
  tenantry rollout resolve memories --owner user:6f1c… 1742
  tenantry rollout impact memories
  tenantry rollout to strict
  tenantry rollout to transitional memories      # and back`,
    )
  for (const make of commands) rollout.addCommand(make(io))
  return rollout
}
