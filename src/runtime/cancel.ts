import pg from 'pg'
import type { RawClient } from './pg-internals.js'

interface CancelConnection {
  on(event: string, listener: () => void): void
  connect(port: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
  end(): void
}

const Connection = pg.Connection as unknown as new (config: object) => CancelConnection

/**
 * Asks the server to stop what a connection is doing, because that connection is about to be
 * dropped: the server would notice only when it has an answer to send, and keep every lock until
 * then. A courtesy; nothing depends on its success.
 */
export function cancelQuery(client: RawClient): void {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = client
  // A proxy may not give the key of a backend.
  if (!processID || secretKey === null) return
  const connection = new Connection({ ssl, sslNegotiation })
  const send = (): void => {
    connection.cancel(processID, secretKey)
    connection.end()
  }
  connection.on('error', () => undefined)
  if (ssl && sslNegotiation !== 'direct') connection.on('connect', () => connection.requestSsl())
  connection.on(ssl ? 'sslconnect' : 'connect', send)
  if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
  else connection.connect(port, host)
}
