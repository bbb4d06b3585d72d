import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'

/** Stops one server and removes its folders, at the latest when this process is gone. */
export interface Watchdog {
  /** Stops the server and waits until nothing of it is left. */
  stop(): Promise<void>
  /** Ends the watch and lets the server live on. */
  release(): void
}

/**
 * A shell of its own session reads a pipe that only this process holds open. However this
 * process ends, kill -9 included, the pipe closes and the shell cleans up.
 */
const script = `
read -r word
[ "$word" = keep ] && exit 0
data=$1
shift
pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null)
case $pid in
  '' | *[!0-9]*) ;;
  *)
    kill -QUIT "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do
      sleep 0.05
      tries=$((tries + 1))
    done
    kill -KILL "$pid" 2>/dev/null
    ;;
esac
tries=0
until rm -rf "$@" 2>/dev/null; do
  [ "$tries" -ge 20 ] && exit 1
  sleep 0.1
  tries=$((tries + 1))
done
`

/** Watches over the server of the data directory `data`; `folders` go with it. */
export function watch(data: string, folders: readonly string[]): Watchdog {
  const shell = spawn('sh', ['-c', script, 'tenantry-watchdog', data, ...folders], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const ended = once(shell, 'exit')
  // Neither the shell nor the pipe may keep a finished program from ending.
  shell.unref()
  const pipe = shell.stdin as Socket
  pipe.unref()

  return {
    async stop() {
      shell.ref()
      pipe.end()
      const [code] = (await ended) as [number | null]
      if (code !== 0) throw new Error(`could not remove ${folders.join(' and ')}`)
    },
    release() {
      pipe.end('keep\n')
    },
  }
}
