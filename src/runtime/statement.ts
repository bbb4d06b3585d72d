/**
 * What a statement text means to the state of a transaction. Only texts that steer transactions
 * or sessions are looked at closely; whatever is not recognised goes to the server as a query,
 * one statement per message, inside its context, so a miss here can lose comfort, not isolation.
 */
export type Statement =
  | { readonly kind: 'query' }
  | { readonly kind: 'begin'; readonly text: string; readonly tag: string }
  | { readonly kind: 'set transaction'; readonly modes: string }
  | { readonly kind: 'commit' }
  | { readonly kind: 'rollback' }
  | { readonly kind: 'refused'; readonly reason: string }

const QUERY: Statement = { kind: 'query' }
const COMMIT: Statement = { kind: 'commit' }
const ROLLBACK: Statement = { kind: 'rollback' }

const MODE =
  '(?:isolation level (?:serializable|repeatable read|read committed|read uncommitted)' +
  '|read only|read write|(?:not )?deferrable)'
const MODES = `${MODE}(?: ?,? ?${MODE})*`
const BEGIN = new RegExp(`^(?:begin(?: work| transaction)?|start transaction)( ${MODES})?$`)
const SET_TRANSACTION = new RegExp(`^set (?:local )?transaction (${MODES})$`)
const END = /^(?:commit|end)(?: work| transaction)?(?: and no chain)?$/
const ABORT = /^(?:rollback|abort)(?: work| transaction)?(?: and no chain)?$/
const ROLLBACK_TO = /^rollback(?: work| transaction)? to /
const CHAIN = /^(?:commit|end|rollback|abort)(?: work| transaction)? and chain$/
const HOLD = /^declare (?:"(?:[^"]|"")*"|[^ ]+)(?: [a-z]+)*? with hold\b/

/** Reads a statement text; costs nothing worth naming for select, insert, update and delete. */
export function readStatement(text: string): Statement {
  const start = skipBlank(text, 0)
  switch (text.charCodeAt(start) | 0x20) {
    case 0x62: // b
    case 0x63: // c
    case 0x65: // e
    case 0x72: // r
    case 0x61: // a
    case 0x70: // p
    case 0x64: // d
      break
    case 0x73: // s, nearly always select
      if ((text.charCodeAt(start + 2) | 0x20) === 0x6c) return QUERY
      break
    default:
      return QUERY
  }
  const word = /^[a-z]+/i.exec(text.slice(start, start + 12))?.[0].toLowerCase()
  switch (word) {
    case 'begin':
    case 'start':
      return readBegin(normalise(text, start))
    case 'commit':
    case 'end':
    case 'rollback':
    case 'abort':
      return readEnd(normalise(text, start))
    case 'set':
    case 'reset':
      return readSet(normalise(text, start))
    case 'prepare':
      return /^prepare transaction\b/.test(normalise(text, start))
        ? refused('a prepared transaction outlives the identity that opened it')
        : QUERY
    case 'declare':
      return HOLD.test(normalise(text, start))
        ? refused('a cursor WITH HOLD would show its rows to the next identity on the connection')
        : QUERY
    case 'discard':
      return refused('the pool itself resets its connections; DISCARD would do so under its feet')
    default:
      return QUERY
  }
}

function readBegin(text: string): Statement {
  const match = BEGIN.exec(text)
  if (!match) return unclear(text)
  const start = text.startsWith('start')
  return {
    kind: 'begin',
    text: `${start ? 'start transaction' : 'begin'}${match[1] ?? ''}`,
    tag: start ? 'START' : 'BEGIN',
  }
}

function readEnd(text: string): Statement {
  if (END.test(text)) return COMMIT
  if (ABORT.test(text)) return ROLLBACK
  if (ROLLBACK_TO.test(text)) return QUERY
  if (CHAIN.test(text)) return refused('the chained transaction would begin without a context')
  if (/^(?:commit|rollback) prepared\b/.test(text)) {
    return refused('a prepared transaction belongs to no identity')
  }
  return unclear(text)
}

function readSet(text: string): Statement {
  if (/^(?:set|reset)(?: session| local)? session authorization\b/.test(text)) {
    return refused('the login role is part of every context and must not change')
  }
  const match = SET_TRANSACTION.exec(text)
  return match ? { kind: 'set transaction', modes: match[1] ?? '' } : QUERY
}

/** Something that starts like transaction control but is not one whole statement of it. */
function unclear(text: string): Statement {
  return refused(
    text.includes(';')
      ? 'several statements in one string cannot share one context; send them one by one'
      : 'this form of transaction control is not known here',
  )
}

function refused(reason: string): Statement {
  return { kind: 'refused', reason }
}

/** Lower case, comments gone, one space between words, no semicolons around. */
function normalise(text: string, start: number): string {
  let out = ''
  let at = start
  while (at < text.length) {
    const next = skipBlank(text, at, false)
    if (next > at) out += ' '
    else out += text[next] ?? ''
    at = next > at ? next : next + 1
  }
  return out.toLowerCase().replace(/[ ;]+$/, '')
}

/** The place of the first character at or after `at` that is neither white space nor comment. */
function skipBlank(text: string, at: number, semicolons = true): number {
  for (;;) {
    const code = text.charCodeAt(at)
    // An empty statement in front is no statement: `;begin` begins.
    if (code === 0x20 || (code >= 0x09 && code <= 0x0d) || (semicolons && code === 0x3b)) at++
    else if (code === 0x2d && text.charCodeAt(at + 1) === 0x2d) at = endOfLine(text, at)
    else if (code === 0x2f && text.charCodeAt(at + 1) === 0x2a) at = endOfComment(text, at)
    else return at
  }
}

function endOfLine(text: string, at: number): number {
  while (at < text.length && text[at] !== '\n' && text[at] !== '\r') at++
  return at
}

/** Block comments nest in PostgreSQL. */
function endOfComment(text: string, at: number): number {
  let depth = 0
  while (at < text.length) {
    if (text.startsWith('/*', at)) {
      depth++
      at += 2
    } else if (text.startsWith('*/', at)) {
      depth--
      at += 2
      if (depth === 0) return at
    } else {
      at++
    }
  }
  return at
}
