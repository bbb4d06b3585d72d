import { Writable } from 'node:stream'
import { MultiBar, type SingleBar } from 'cli-progress'
import type { Io } from '../io.js'
import type { Event, Listener, Progress } from './events.js'
import { reportText } from './report.js'

/** How often a line of progress is written where nobody watches. */
const patience = 3_000

/** Whoever reads what happens: a program, a person, or a log. */
export function listener(io: Io, asJson: boolean): Listener {
  if (asJson) {
    return { tell: (event) => io.out(`${JSON.stringify(event)}\n`), end: () => undefined }
  }
  return io.interactive ? bars(io) : lines(io)
}

function lines(io: Io): Listener {
  let last = Date.now()
  return {
    tell(event) {
      if (event.event === 'report') return io.out(reportText(event, io.columns))
      if (event.event === 'progress') {
        if (Date.now() - last < patience) return
        last = Date.now()
      }
      const line = lineOf(event)
      if (line !== null) io.err(`${line}\n`)
    },
    end: () => undefined,
  }
}

/** One bar that moves, and the lines above it. */
function bars(io: Io): Listener {
  let shown: { readonly screen: MultiBar; readonly bar: SingleBar } | undefined
  const clear = (): void => {
    // Lines that have not been written yet come first.
    shown?.screen.update()
    shown?.screen.stop()
    shown = undefined
  }
  return {
    tell(event) {
      if (event.event === 'progress') {
        shown ??= newBar(io, event.total)
        shown.bar.setTotal(event.total)
        shown.bar.update(event.done, {
          what: `${event.table}, ${event.work}`,
          more: moreOf(event),
        })
        return
      }
      if (event.event === 'report') {
        clear()
        return io.out(reportText(event, io.columns))
      }
      if (event.event === 'step' || event.event === 'reached') clear()
      const line = lineOf(event)
      if (line === null) return
      if (shown) shown.screen.log(`${line}\n`)
      else io.err(`${line}\n`)
    },
    end: clear,
  }
}

function newBar(io: Io, total: number): { screen: MultiBar; bar: SingleBar } {
  const screen = new MultiBar({
    stream: screenOf(io),
    format: '{what} {bar} {percentage} %, {value} of {total}{more}',
    barsize: Math.max(10, Math.min(40, io.columns - 90)),
    hideCursor: true,
    clearOnComplete: true,
    // It stays below a line that is written while it stands still.
    forceRedraw: true,
    linewrap: false,
    gracefulExit: false,
  })
  return { screen, bar: screen.create(total, 0, { what: '', more: '' }) }
}

/** Where the bar draws itself. */
function screenOf(io: Io): NodeJS.WritableStream {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      io.err(chunk.toString())
      done()
    },
  })
  return Object.assign(stream, { isTTY: true, columns: io.columns })
}

function lineOf(event: Event): string | null {
  switch (event.event) {
    case 'notice':
      return event.message
    case 'index':
      return `${event.table}: ${event.statement}`
    case 'stopping':
      return 'Stopping (Ctrl-C again: at once) …'
    case 'progress':
      return `${event.table}, ${event.work}: ${String(percent(event))} %, ${String(event.done)} of ${String(event.total)}${moreOf(event)}`
    case 'step':
    case 'reached':
    case 'report':
    case 'error':
      // The notices of the server say as much; an error is printed where the command ends.
      return null
  }
}

const percent = ({ done, total }: Progress): number =>
  total === 0 ? 100 : Math.floor((100 * done) / total)

function moreOf({ work, rate, eta, brake }: Progress): string {
  const parts = [
    rate === null ? null : `${String(Math.round(rate))} ${work === 'index' ? 'blocks' : 'rows'}/s`,
    eta === null ? null : `${String(Math.ceil(eta))} s left`,
    brake === null ? null : `waits: ${brake}`,
  ].filter((part) => part !== null)
  return parts.map((part) => `, ${part}`).join('')
}
