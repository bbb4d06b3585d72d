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
  const screen = new MultiBar({
    format: '{what} {bar} {percentage} %, {value} of {total}{more}',
    barsize: Math.max(10, Math.min(40, io.columns - 90)),
    hideCursor: true,
    clearOnComplete: true,
    linewrap: false,
    gracefulExit: false,
  })
  let bar: SingleBar | undefined
  const clear = (): void => {
    if (bar) screen.remove(bar)
    bar = undefined
  }
  return {
    tell(event) {
      if (event.event === 'progress') {
        bar ??= screen.create(event.total, 0, { what: '', more: '' })
        bar.setTotal(event.total)
        bar.update(event.done, { what: `${event.table}, ${event.work}`, more: moreOf(event) })
        return
      }
      if (event.event === 'report') {
        clear()
        screen.stop()
        return io.out(reportText(event, io.columns))
      }
      if (event.event === 'step' || event.event === 'reached') clear()
      const line = lineOf(event)
      if (line === null) return
      if (bar) screen.log(`${line}\n`)
      else io.err(`${line}\n`)
    },
    end() {
      clear()
      screen.stop()
    },
  }
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
