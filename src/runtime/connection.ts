import { randomBytes } from 'node:crypto'
import { isServerError } from '../errors.js'
import { cancelQuery } from './cancel.js'
import { isIdle, type RawClient } from './pg-internals.js'

/**
 * What is remembered about one physical connection.
 *
 * A pooled connection serves one identity after another. The context itself cannot stay behind:
 * it is local to a transaction and bound to it. But whoever was here before, an injected statement
 * included, may have left other things in the session: a setting, a prepared statement under a
 * guessed name, a cursor WITH HOLD, a temporary table, an advisory lock. So a connection is reset
 * before its next use whenever the server showed a sign of that, and after every error.
 */
export interface ConnectionState {
  /** The session may hold something its next user must not meet. */
  dirty: boolean
  /** It must not be used again. */
  broken: boolean
  /** While it is being reset, changes of settings are expected. */
  resetting: boolean
  /** The prepared context statements of this connection, by text. */
  readonly contextNames: Map<string, string>
  /** Names of the application's prepared statements, as they are called on this connection. */
  readonly names: Map<string, { text: string; name: string }>
}

const states = new WeakMap<RawClient, ConnectionState>()

/** Commands, by the first word of their tag, that leave nothing in a session. */
const CLEAN = new Set(
  'SELECT INSERT UPDATE DELETE MERGE BEGIN START COMMIT ROLLBACK SAVEPOINT RELEASE FETCH MOVE CLOSE EXPLAIN SHOW COPY NOTIFY LOCK CALL TRUNCATE'.split(
    ' ',
  ),
)
const LOCAL = /^\s*set\s+(?:local|transaction|constraints)\b/i

/** The state of a connection; made, with its listeners, when the connection is first seen. */
export function connectionState(client: RawClient): ConnectionState {
  let state = states.get(client)
  if (state) return state
  const made: ConnectionState = {
    dirty: false,
    broken: false,
    resetting: false,
    contextNames: new Map(),
    names: new Map(),
  }
  state = made
  states.set(client, made)
  // A connection that dies while checked out would otherwise end the process: pg-pool listens
  // for errors of idle connections only.
  client.on('error', () => {
    made.broken = true
  })
  // The server reports changes of the settings that alter how values are read (DateStyle,
  // TimeZone, client_encoding, …), also those made by set_config() inside a query.
  client.connection?.on('parameterStatus', () => {
    if (!made.resetting) made.dirty = true
  })
  return state
}

/** Notes what a successful command may have left in the session. */
export function noteCommand(state: ConnectionState, command: string | null, text: string): void {
  // An empty query has no command.
  if (command === null || CLEAN.has(command) || (command === 'SET' && LOCAL.test(text))) return
  state.dirty = true
}

/** Notes an error: at least a reset, and the end of the connection where its state is unsure. */
export function noteError(client: RawClient, state: ConnectionState, error: unknown): void {
  state.dirty = true
  if (!isServerError(error)) {
    // A timeout of the driver leaves the query running; its answer would meet the next one.
    if (!isIdle(client)) {
      if (!state.broken) cancelQuery(client)
      state.broken = true
    }
    return
  }
  // A cancel request may arrive late and hit whoever is next, so the connection goes with it.
  if (error.code === '57014' || error.severity === 'FATAL' || error.severity === 'PANIC') {
    state.broken = true
  }
}

/**
 * The name of an application's prepared statement on this connection. The random prefix keeps a
 * statement that an earlier identity prepared here from being taken for the application's own.
 *
 * @returns undefined when the name already stands for another text
 */
export function statementName(
  state: ConnectionState,
  name: string,
  text: string | undefined,
): string | undefined {
  const known = state.names.get(name)
  if (known) return text === undefined || text === known.text ? known.name : undefined
  const own = `tn_${randomBytes(12).toString('base64url')}`
  state.names.set(name, { text: text ?? '', name: own })
  return own
}

/** After a failed group nobody knows whether its Parse took place: the name is not used again. */
export function forgetStatement(client: RawClient, state: ConnectionState, name: string): void {
  for (const [alias, known] of state.names) {
    if (known.name === name) state.names.delete(alias)
  }
  delete client.connection.parsedStatements[name]
}

export interface ResetPolicy {
  /** `error`: after errors and suspicious commands. `always`: after every use. */
  readonly when: 'error' | 'always'
  /** False when DISCARD ALL would undo settings that the application made on connecting. */
  readonly possible: boolean
}

/**
 * Gives a connection back to the pool: as it is, reset, or destroyed. Costs the caller no time;
 * a reset runs after the result has been handed out.
 */
export function giveBack(
  client: RawClient,
  release: (destroy?: Error | boolean) => void,
  state: ConnectionState,
  policy: ResetPolicy,
): void {
  // A transaction or a portal left open belongs to the identity that leaves now.
  if (state.broken || !isIdle(client) || client.getTransactionStatus() !== 'I') {
    release(true)
  } else if (!state.dirty && policy.when !== 'always') {
    release()
  } else if (!policy.possible) {
    release(true)
  } else {
    reset(client, state).then(
      () => release(),
      () => release(true),
    )
  }
}

async function reset(client: RawClient, state: ConnectionState): Promise<void> {
  state.resetting = true
  try {
    await client.query('discard all')
    // Prepared statements are gone with it, so the driver must not believe in them any longer.
    client.connection.parsedStatements = {}
    client.connection.submittedNamedStatements = {}
    state.contextNames.clear()
    state.names.clear()
    state.dirty = false
  } finally {
    state.resetting = false
  }
}
