import type pg from 'pg'
import { CliError } from '../errors.js'
import type { Listener } from './events.js'

const again = 300

/** Cancels what runs in some processes of the server. */
export async function cancel(client: pg.Client, pids: readonly number[]): Promise<void> {
  await client.query(
    'select pg_catalog.pg_cancel_backend(p) from pg_catalog.unnest($1::integer[]) as p',
    [pids],
  )
}

/** Ctrl-C: what runs on the server is cancelled there, and nothing more is begun. */
export class Interrupt {
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  readonly #onSignal: () => void

  /** @param client a connection that may cancel what these processes run */
  constructor(client: pg.Client, pids: readonly number[], listener: Listener) {
    // One that arrives between two statements is lost, so it is asked for until everything has ended.
    const cancelAll = (): void => {
      cancel(client, pids).catch(() => undefined)
    }
    this.#onSignal = () => {
      if (this.#stopped) process.exit(130)
      this.#stopped = true
      listener.tell({ event: 'stopping' })
      cancelAll()
      this.#timer = setInterval(cancelAll, again)
    }
    process.on('SIGINT', this.#onSignal)
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** Ends listening; what was interrupted says how to go on, anything else stays as it is. */
  end(): void {
    clearInterval(this.#timer)
    process.off('SIGINT', this.#onSignal)
  }

  error(resume: string): CliError {
    return new CliError('STOPPED', 'Stopped. What was done is kept.', {
      hint: `To go on, run it again: ${resume}`,
      exitCode: 130,
    })
  }
}
