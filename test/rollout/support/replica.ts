import pg from 'pg'

/** A replica that takes what it is sent and says that it has applied it after a while. */
export interface Replica {
  /** How long it takes from now on. */
  delay(milliseconds: number): void
  end(): Promise<void>
}

interface Streaming {
  on(event: 'copyData', listener: (message: { chunk: Buffer }) => void): void
  sendCopyFromChunk(chunk: Buffer): void
}

const sendEvery = 50
const year2000 = Date.UTC(2000, 0, 1)

/** Speaks the protocol of streaming replication; nothing is stored. */
export async function replica(url: string, name: string, milliseconds: number): Promise<Replica> {
  const client = new pg.Client({
    connectionString: url,
    application_name: name,
    // Not in the types: makes it a connection to a WAL sender.
    ...{ replication: 'true' },
  })
  await client.connect()
  const { rows } = await client.query<{ xlogpos: string }>('IDENTIFY_SYSTEM')
  const { connection } = client as unknown as { connection: Streaming }
  let takes = milliseconds
  let received = 0n
  /** Places in the log that have come, and when. */
  let places: { readonly at: number; readonly place: bigint }[] = []
  let applied = 0n
  connection.on('copyData', ({ chunk }) => {
    // 'w': start, end, time, data; anything else is a sign of life.
    if (chunk[0] !== 0x77) return
    received = chunk.readBigUInt64BE(1) + BigInt(chunk.length - 25)
    places.push({ at: Date.now(), place: received })
  })
  const answer = () => {
    const due = places.filter(({ at }) => at <= Date.now() - takes)
    places = places.slice(due.length)
    applied = due.at(-1)?.place ?? applied
    if (applied === 0n) return
    const reply = Buffer.alloc(34)
    reply.write('r')
    reply.writeBigUInt64BE(received, 1)
    reply.writeBigUInt64BE(received, 9)
    reply.writeBigUInt64BE(applied, 17)
    reply.writeBigUInt64BE(BigInt(Date.now() - year2000) * 1000n, 25)
    connection.sendCopyFromChunk(reply)
  }
  // Lasts for as long as the connection does.
  client.query(`START_REPLICATION PHYSICAL ${rows[0]?.xlogpos ?? ''}`).catch(() => undefined)
  const answering = setInterval(answer, sendEvery)
  return {
    delay(of) {
      takes = of
    },
    async end() {
      clearInterval(answering)
      await client.end()
    },
  }
}
