import { isServerError } from '../errors.js'
import { groupFrame } from './frames.js'
import {
  Query,
  type Callback,
  type CommandComplete,
  type QuerySpec,
  type WireConnection,
  type WireValue,
} from './pg-internals.js'

/** The statements that travel in front of a query, in the same Sync group. */
export interface Preamble {
  /** Their messages, without a Sync. */
  readonly frame: Buffer
  /** How many they are. */
  readonly statements: number
  /** Gets the first column of the row that one of them answers with. */
  readonly onValue?: ((value: string) => void) | undefined
}

/** For queries inside a transaction, which has its context. */
export const NO_PREAMBLE: Preamble = { frame: Buffer.alloc(0), statements: 0 }

/**
 * One or more statements and ONE Sync, in one socket write: the preamble (`begin`, the context)
 * and then the query. The server treats the group as one implicit transaction and, after an
 * error, skips everything up to the Sync. So there is no order of events in which the query runs
 * and the statement that sets its context did not.
 *
 * It is a `pg.Query`, so results, row modes, type parsers and timeouts are pg's own. Two things
 * differ: everything goes by the extended protocol (one statement per message, so nothing can be
 * stacked behind a query), and an error is reported when the group is over, not in its midst,
 * because only then does the driver know the state of the transaction.
 */
export class GroupQuery extends Query {
  readonly #preamble: Preamble
  #answered = 0

  /** Whether the error, if there was one, came from the preamble: then the query never ran. */
  get preambleFailed(): boolean {
    return this.#answered < this.#preamble.statements
  }

  constructor(spec: QuerySpec, preamble: Preamble, callback: Callback) {
    // pg copies an object by its property descriptors, which costs more than all the rest here.
    super(isPlain(spec) ? (spec.text ?? '') : { ...spec }, undefined, callback)
    this.values = spec.values
    this.#preamble = preamble
    if (spec.query_timeout !== undefined) this.query_timeout = spec.query_timeout
  }

  /** Called by pg when the connection is free. */
  submit(connection: WireConnection): void {
    const { stream } = connection
    const { frame } = this.#preamble
    if (!this.name && !this.rows && !this.portal && !Array.isArray(this.types)) {
      const values = this.values as readonly WireValue[] | undefined
      const group = groupFrame(frame, this.text ?? '', values, this.binary === true)
      if (stream.writable) stream.write(group)
      return
    }
    stream.cork()
    try {
      if (stream.writable && frame.length > 0) stream.write(frame)
      this.prepare(connection)
    } finally {
      stream.uncork()
    }
  }

  override handleDataRow(message: { fields: (string | null)[] }): void {
    if (!this.preambleFailed) return super.handleDataRow(message)
    const value = message.fields[0]
    if (value) this.#preamble.onValue?.(value)
  }

  override handleCommandComplete(message: CommandComplete, connection: WireConnection): void {
    if (this.preambleFailed) {
      this.#answered++
      return
    }
    super.handleCommandComplete(message, connection)
  }

  override handleError(error: unknown, connection: WireConnection): void {
    // The driver's own errors (connection lost, timed out) are not followed by ReadyForQuery.
    if (!isServerError(error)) return super.handleError(error, connection)
    // With `rows`, pg sends the Sync after the last page only, and an error would wait for ever.
    if (this.rows) connection.sync()
    whenOver(connection, () => super.handleError(error, connection))
  }

  /** `copy … from stdin` as a plain query: refused as pg does. */
  handleCopyInResponse(connection: WireConnection): void {
    connection.sendCopyFail('No source stream defined')
    // The server ignored the group's Sync, since it came while it was waiting for data.
    connection.sync()
  }
}

/** Whether text and values are all there is to a query. */
function isPlain(spec: QuerySpec): boolean {
  return !(spec.name ?? spec.rowMode ?? spec.types ?? spec.binary ?? spec.rows ?? spec.portal)
}

/** Runs `report` once the server has ended the group, or the connection is gone. */
function whenOver(connection: WireConnection, report: () => void): void {
  const over = (): void => {
    connection.off('readyForQuery', over)
    connection.off('end', over)
    report()
  }
  connection.on('readyForQuery', over)
  connection.on('end', over)
}
