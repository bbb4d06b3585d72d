import type pg from 'pg'
import { withConnection } from './connect.js'
import { requireAdmin } from './installed.js'
import type { Io } from './io.js'

/** Work on a connection of an admin. */
export function asAdmin(
  io: Io,
  options: { readonly url?: string },
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  return withConnection(io, options, async (client) => {
    await requireAdmin(client)
    await work(client)
  })
}
