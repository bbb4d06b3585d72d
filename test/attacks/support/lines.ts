import type { AttackName } from './verdicts.js'

/** The attacks that must fail, as the design lists them, and what is tried for each. */
export const designed = {
  'forged context': [
    'a forged context',
    'a context with more privileges or another actor written into it',
    'a session context forged or altered',
    'a context whose mark of what is lent is taken out',
  ],
  'replayed context': [
    'a context replayed in a later transaction',
    'a context replayed inside one message of two transactions',
    'a pass used by another login, in another database, or altered',
    'behind PgBouncer, a context replayed on another server connection',
    'behind PgBouncer, everything that the mutants are found by',
  ],
  'expired context': [
    'a context used after it has expired',
    'a session context used after it has ended',
  ],
  'cross-session context': [
    'a context replayed in another session',
    'a context replayed by another login',
    'a session context used in another connection',
    'a session context on a pooled connection',
  ],
  'cross-database context': ['a context replayed in another database'],
  'enter() called by injected SQL for somebody else': [
    'entering as somebody else inside a statement, by where',
    'entering as somebody else inside a statement, by union',
    'entering as somebody else inside a statement, by cte',
    'entering as somebody else by stacked statements',
    'entering or assuming without the right to',
  ],
  'SET, RESET, DISCARD and SET ROLE games': [
    'SET, RESET, DISCARD and ROLE games',
    'turning into another role',
    'row_security switched off by an earlier user of the connection',
    'a context that an earlier user of the connection has planted to shut others out',
    'one’s own login shut out for good',
    'SET ROLE to a role that bypasses',
    'SET ROLE to a group that the floor policies do not bind',
    'SET ROLE to the migration role',
    'a login that does not inherit from tenantry_user',
  ],
  'context left behind on a pooled connection after commit, rollback, error, cancel, timeout': [
    ...(['commit', 'rollback', 'error', 'cancel', 'timeout'] as const).flatMap(
      (ending) =>
        [
          `a context left behind by ${ending}`,
          `behind PgBouncer, a context left behind by ${ending}`,
        ] as const,
    ),
    'a context entered outside a transaction',
    'a context kept by a savepoint',
    'behind PgBouncer, a session setting that another client finds',
  ],
  'cursor WITH HOLD, portal or prepared plan used under another identity': [
    'a cursor WITH HOLD read by the next user of the connection',
    'a portal or cursor used after its transaction',
    'an open cursor that changes hands inside one transaction',
    'a prepared plan used under another identity',
    'a prepared plan used under another role',
  ],
  'deferred trigger used under another identity': [
    'a deferred trigger that runs as the last identity of a transaction',
  ],
  'cursor, prepared plan or pass used after a revoke': [
    'a cursor that was opened before the revocation',
    'a pass used after the revocation',
    'behind PgBouncer, a pass used after the revocation',
    'acting on in a transaction that began before the revocation',
  ],
  'two contexts in one transaction': [
    'two contexts in one transaction',
    'a second credential after the first context was thrown away',
  ],
  'no context': ['no context', 'the anonymous context writing'],
  'unknown entity': [
    'an unknown entity',
    'an entity of another kind with the same id',
    'an entity that is gone',
    'an id that comes back and wants what the old one had',
    'a bound login made again under the same name',
  ],
  'self-join into a room': [
    'joining a room by writing a row of its members, by insert',
    'joining a room by writing a row of its members, by update',
    'joining a room by writing a row of its members, by upsert',
    'a row of members moved to another room',
    'a member who raises their own role',
    'a member who makes others more than they are themselves',
    'a role that nobody declared',
    'the room or the member comes back under the same id',
    'the triggers of memberships called, borrowed or gone around',
    'putting a row into a room that one does not reach',
    'probing for a room by writing into it',
    'a row of the room taken over by a member who may update it',
    'somebody else named as who wrote a row',
    'behind PgBouncer, joining a room after somebody who may add members',
  ],
  'agent acting for a stranger': [
    'an agent that acts for a stranger',
    'an agent that was taken away from its owner',
    'making an agent that acts for somebody else',
    'an agent or a service that hands on what it may do',
  ],
  'delegation widened': [
    'a delegation widened by whoever holds it',
    'giving what is somebody else’s',
    'a delegation for some tables used on another',
    'everybody as the receiver, the giver or the actor of a delegation',
    'behind PgBouncer, what one client was given used by the next',
  ],
  'delegation chained past its depth': [
    'a delegation passed on further than it may be',
    'what somebody was given, used by whom they gave their own',
  ],
  'delegation used after expiry': ['a delegation used after it has expired'],
  'delegation used after revocation': [
    'a delegation used after it was revoked',
    'a delegation to or of somebody who was born again',
    'a delegation ended or read by whom it does not concern',
    'behind PgBouncer, a delegation used after it was revoked or has expired',
  ],
  'cyclic delegation': ['a delegation passed on in a circle'],
  'write, re-own, delete or upsert into a foreign owner': [
    'inserting a row for a foreign owner',
    'giving a row to somebody else, or taking one',
    'deleting a foreign row',
    'an upsert that lands on a foreign row',
    'a row that is locked for a foreign owner',
  ],
  'MERGE, COPY, ON CONFLICT, RETURNING and CTE writes': [
    'MERGE into foreign rows',
    'COPY',
    'writing inside a CTE',
    'an upsert that lands on a foreign row',
    'inserting a row for a foreign owner',
  ],
  'TRUNCATE, REFERENCES and TRIGGER grants': [
    'TRUNCATE, REFERENCES and TRIGGER',
    'locking a table for everybody',
  ],
  'foreign-key pointing, probing and cascading': [
    'pointing at a foreign row',
    'probing for a foreign row by a foreign key',
    'probing for a foreign parent by the name of the key that fails',
    'cascading into foreign rows',
    'changing the key that one’s own rows are pointed at by',
  ],
  'unique and sequence oracles': [
    'a unique key as an oracle',
    'a sequence as a counter of everybody’s rows',
  ],
  'EXPLAIN and catalog counters': [
    'EXPLAIN',
    'counters and statistics of the catalog',
    'the text of statements that others run',
  ],
  'leaky functions and operators in WHERE': [
    'functions and operators in WHERE that leak what they are given',
    'errors on foreign values',
    'rows shown by an error of one’s own',
    'making a function, an operator or a cast that leaks',
  ],
  'partition child, ATTACH, inheritance child': [
    'a partition or an inheritance child read directly',
    'a partition attached outside the watched path',
  ],
  'CTAS, SELECT INTO, materialized view, foreign table': [
    'carrying rows away into a table of one’s own',
    'a view that shows through another view',
  ],
  'a table created outside the watched path': ['a table made outside the watched path'],
  'policy dropped or altered, RLS disabled, FORCE removed, owner changed, BYPASSRLS granted': [
    'a policy dropped, altered or replaced',
    'row-level security disabled or not forced',
    'triggers that check and follow switched off',
    'the key to a parent dropped, or not enforced',
    'the owner of a table changed',
    'BYPASSRLS or SUPERUSER granted to the login',
    'a permissive policy of the application’s',
    'temporary tables given back',
    'changing the protection itself',
  ],
  'application connected as owner or superuser': ['a login that is superuser, bypasses or owns'],
  'search_path and pg_temp shadowing of definer functions': [
    'functions of one’s own in place of those that tenantry calls',
    'pgcrypto moved away by the owner of the database',
    'a search_path that runs as SQL when the login is allowed again',
  ],
  'operator and cast shadowing': [
    'functions of one’s own in place of those that tenantry calls',
    'a cast of one’s own that runs as tenantry when a kind’s row is written',
  ],
  'ciphertext moved, truncated, bit-flipped, or replayed from an older key': [
    'ciphertext moved to another row, column, table, owner or database',
    'ciphertext truncated, or with a bit flipped',
    'ciphertext of another place written as one’s own',
    'ciphertext replayed from an older key',
    'ciphertext of a retired key written back',
    'a value sealed last planted for another statement',
  ],
  'key probing': [
    'probing for keys through the functions that the application may call',
    'what is somebody else’s opened with a ring of one’s own, or theirs',
    'a ring of keys used later, elsewhere, or by somebody else',
    'the key share read back, copied or set by hand',
    'keys read by whoever reads everything',
    'keys shown by debugging settings',
    'keys and secrets told by debugging settings and errors',
    'reading the keys and the registry',
  ],
  'secret in logs, pg_stat_statements, auto_explain, error messages, dumps, dead tuples': [
    'a secret in the log, pg_stat_statements, auto_explain, files or WAL',
    'a secret in a log that holds bind parameters',
    'a secret shown by the error of a row that fails',
    'a secret in a dump',
    'a secret in dead tuples',
    'a secret in what an encrypted column held before',
  ],
  'token with alg none, another alg, another audience, expired, not yet valid, garbage, 1 MB': [
    'a token without a signature, or with another algorithm',
    'a token by another key',
    'a token for another database',
    'a token that has expired, never expires, or is not valid yet',
    'a token whose claims are no entities',
    'garbage, and a megabyte of it',
  ],
  'hostile identifiers in every function that builds SQL': [
    'hostile names in every function that builds SQL',
  ],
} as const satisfies Record<string, readonly AttackName[]>

/** What the design does not list: the powers of tenantry itself, and of those who look across tenants. */
export const besides = {
  'functions behind functions': [
    'calling the functions behind the functions',
    'the halves of functions that an admin may call',
  ],
  'admins without superuser': [
    'a view, or somebody else’s table, declared as a kind by an admin',
    'somebody else’s table opened through the registry by an admin',
  ],
  'code of a table’s owner run by a superuser': [
    ...(
      [
        'a constraint',
        'a generated column',
        'an index',
        'a partial index',
        'a rule',
        'a domain',
      ] as const
    ).map(
      (where) => `code of a table’s owner run by a superuser’s protect(), in ${where}` as const,
    ),
    'a trigger of a table’s owner run by a superuser’s protect()',
  ],
  'impersonation, broken glass, and grants across tenants': [
    'impersonating without the right to',
    'an impersonation written with, prolonged, or carried elsewhere',
    'breaking the glass without the right to',
    'glass used in another session, after its time, or after the right to',
    'granting across tenants without the right to',
    'a role that reads across tenants, lent to the application',
  ],
} as const satisfies Record<string, readonly AttackName[]>
