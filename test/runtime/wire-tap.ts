import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type pg from 'pg'
import { parse } from 'pg-connection-string'

/** What went over one wire since the last `reset`. */
export interface WireCount {
  /** Times the client spoke after the server had: the round trips somebody waits for. */
  flights: number
  /** Types of the messages the client sent: P(arse), B(ind), D(escribe), E(xecute), S(ync), Q(uery) … */
  sent: string
  /** Groups the server completed. */
  readyForQuery: number
}

/** What the client said since the last `reset`, byte by byte as text. */
export interface WireWords {
  /** Of its Parse messages: the texts of statements. */
  parsed: string
  /** Of its Bind messages: the parameters. */
  bound: string
}

export interface WireTap {
  /** Connection settings that lead through the tap. */
  readonly config: pg.PoolConfig
  readonly count: WireCount
  readonly words: WireWords
  reset(): void
  close(): Promise<void>
}

/** A TCP proxy in front of the server that reads along, for tests that count round trips. */
export async function tapWire(connectionString: string): Promise<WireTap> {
  const target = parse(connectionString)
  const count: WireCount = { flights: 0, sent: '', readyForQuery: 0 }
  const words: WireWords = { parsed: '', bound: '' }
  const sockets = new Set<Socket>()
  const server: Server = createServer((client) => {
    const upstream = connect(Number(target.port), String(target.host))
    let serverSpoke = true
    const fromClient = messages(false, (type, body) => {
      count.sent += type
      if (type === 'P' || type === 'Q') words.parsed += body.toString('latin1')
      if (type === 'B') words.bound += body.toString('latin1')
    })
    const fromServer = messages(true, (type) => {
      if (type === 'Z') count.readyForQuery++
    })
    client.on('data', (chunk) => {
      if (serverSpoke) count.flights++
      serverSpoke = false
      fromClient(chunk)
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      serverSpoke = true
      fromServer(chunk)
      client.write(chunk)
    })
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.setNoDelay(true)
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    config: {
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      user: target.user,
      password: target.password,
      database: target.database ?? undefined,
    },
    count,
    words,
    reset() {
      Object.assign(count, { flights: 0, sent: '', readyForQuery: 0 })
      Object.assign(words, { parsed: '', bound: '' })
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Splits a stream into messages: one byte of type, four of length. The first has no type. */
function messages(
  typed: boolean,
  onMessage: (type: string, body: Buffer) => void,
): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const header = typed ? 5 : 4
      if (rest.length < header) return
      const size = rest.readUInt32BE(header - 4) + header - 4
      if (rest.length < size) return
      if (typed) onMessage(String.fromCharCode(rest[0]!), rest.subarray(header, size))
      typed = true
      rest = rest.subarray(size)
    }
  }
}
