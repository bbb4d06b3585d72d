import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/** A TCP proxy on loopback that hands everything on later. */
export interface DelayedServer {
  readonly port: number
  stop(): Promise<void>
}

/** @param milliseconds how much later, in each direction */
export async function delayed(
  host: string,
  port: number,
  milliseconds: number,
): Promise<DelayedServer> {
  const open = new Set<Socket>()
  const server: Server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host, port, noDelay: true })
    for (const socket of [near, far]) {
      open.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => open.delete(socket))
    }
    near.pipe(later(milliseconds)).pipe(far)
    far.pipe(later(milliseconds)).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

function later(milliseconds: number): Transform {
  return new Transform({
    transform(chunk, _encoding, done) {
      setTimeout(() => done(null, chunk), milliseconds)
    },
  })
}
