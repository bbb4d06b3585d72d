import { serialize } from 'pg-protocol'
import type { WireValue } from './pg-internals.js'

/*
 * Messages of the extended protocol, ready to write. A context statement is the same for every
 * call of an identity until its credential or pass is renewed, so its bytes are made once.
 */

const EXECUTE = serialize.execute()
const NO_VALUES: readonly WireValue[] = []
const DESCRIBE_EXECUTE_SYNC = Buffer.concat([
  serialize.describe({ type: 'P', name: '' }),
  EXECUTE,
  serialize.sync(),
])

/** An unnamed statement, executed without asking what its rows look like. */
export function statementFrame(text: string, values: readonly string[]): Buffer {
  return Buffer.concat([
    serialize.parse({ text }),
    serialize.bind({ values: [...values] }),
    EXECUTE,
  ])
}

/** The same for a statement that is prepared already. */
export function preparedFrame(statement: string, values: readonly string[]): Buffer {
  return Buffer.concat([serialize.bind({ statement, values: [...values] }), EXECUTE])
}

/** A whole group: what goes in front, an unnamed query, and the one Sync. */
export function groupFrame(
  preamble: Buffer,
  text: string,
  values: readonly WireValue[] | undefined,
  binary: boolean,
): Buffer {
  return Buffer.concat([
    preamble,
    serialize.parse({ text }),
    // The values are in wire form already, so nothing can fail between here and the socket.
    serialize.bind({ values: (values ?? NO_VALUES) as WireValue[], binary }),
    DESCRIBE_EXECUTE_SYNC,
  ])
}
