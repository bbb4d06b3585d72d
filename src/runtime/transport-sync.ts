import { randomBytes } from 'node:crypto'
import { forgetStatement, noteCommand, type ConnectionState } from './connection.js'
import { preparedFrame, statementFrame } from './frames.js'
import { GroupQuery, NO_PREAMBLE, type Preamble } from './group-query.js'
import type { Callback, RawClient, WireConnection } from './pg-internals.js'
import type { Opening, Transport } from './transport.js'

/**
 * The usual transport: context and query in one Sync group, one round trip. With `prepared`, the
 * context statement is prepared on each connection when that is first used.
 */
export function syncTransport(prepared: boolean): Transport {
  return (call, outcome) => {
    const { client, state, opening } = call
    if (prepared && opening && !state.contextNames.has(opening.context.text)) {
      prepareContext(client, state, opening.context.text, (error) => {
        if (error) outcome(error, undefined, true)
        else send(call, outcome)
      })
    } else {
      send(call, outcome)
    }
  }
}

const send: Transport = ({ client, state, spec, opening }, outcome) => {
  const { name } = spec
  const query = new GroupQuery(
    spec,
    opening ? preamble(opening, state) : NO_PREAMBLE,
    (error, result) => {
      if (error) {
        if (name !== undefined) forgetStatement(client, state, name)
        outcome(error, undefined, query.preambleFailed)
      } else {
        noteCommand(state, result?.command ?? null, spec.text ?? '')
        outcome(undefined, result)
      }
    },
  )
  client.query(query as never)
}

function preamble({ context, begin }: Opening, state: ConnectionState): Preamble {
  const name = state.contextNames.get(context.text)
  const enter = name === undefined ? context.frame() : preparedFrame(name, context.values)
  if (begin === undefined) return { frame: enter, statements: 1, onValue: context.onValue }
  const frame = Buffer.concat([statementFrame(begin, []), enter])
  return { frame, statements: 2, onValue: context.onValue }
}

/**
 * Prepares the context statement in a group of its own. In one group with a query, pg would take
 * the first ParseComplete for the query's, and if the query's Parse then failed it would believe
 * in a statement that does not exist, for as long as the connection lives.
 */
class PrepareQuery extends GroupQuery {
  readonly #statement: { name: string; text: string }

  constructor(statement: { name: string; text: string }, callback: Callback) {
    super({ text: statement.text }, NO_PREAMBLE, callback)
    this.#statement = statement
  }

  override submit(connection: WireConnection): void {
    connection.parse(this.#statement)
    connection.sync()
  }
}

function prepareContext(
  client: RawClient,
  state: ConnectionState,
  text: string,
  done: (error: unknown) => void,
): void {
  const name = `tn_${randomBytes(12).toString('base64url')}`
  const query = new PrepareQuery({ name, text }, (error) => {
    if (!error) state.contextNames.set(text, name)
    done(error)
  })
  client.query(query as never)
}
