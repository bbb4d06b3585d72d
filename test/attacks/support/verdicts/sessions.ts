import { type Verdict, closed, login, stated } from './verdict.js'

/** Contexts, statements, connections, and what is carried from one identity to another. */
export const sessions = {
  'a forged context': closed(login, 'contexts are signed with a key that no login reads'),
  'a context with more privileges or another actor written into it': closed(
    login,
    'every field is signed',
  ),
  'a context replayed in a later transaction': closed(
    login,
    'the signature covers the start of the transaction',
  ),
  'a context replayed inside one message of two transactions': closed(
    login,
    'a context does not hold in the message that entered it',
  ),
  'a context replayed in another session': closed(
    login,
    'the signature covers the start of the transaction',
  ),
  'a context replayed by another login': closed(
    'a second application login',
    'the signature covers the login',
  ),
  'a context replayed in another database': closed(
    login,
    'the signature covers the database, which has keys of its own',
  ),
  'a context used after it has expired': closed(login, 'the signature covers its end'),
  'a context that an earlier user of the connection has planted to shut others out': closed(
    login,
    'only what is validly signed counts as a context',
  ),
  'entering as somebody else inside a statement, by where': closed(
    'SQL injected into one statement',
    'entering needs a credential, and holds from the next statement on',
  ),
  'entering as somebody else inside a statement, by union': closed(
    'SQL injected into one statement',
    'entering needs a credential, and holds from the next statement on',
  ),
  'entering as somebody else inside a statement, by cte': closed(
    'SQL injected into one statement',
    'entering needs a credential, and holds from the next statement on',
  ),
  'entering as somebody else by stacked statements': closed(
    'SQL injected as statements',
    'entering needs a credential',
  ),
  'reading the keys and the registry': closed(
    'a login with pg_read_all_data',
    'no grants, and row-level security without a policy',
  ),
  'calling the functions behind the functions': closed(login, 'EXECUTE is granted by name'),
  'a context left behind by commit': closed(
    'the next user of a pooled connection',
    'contexts are local to a transaction',
  ),
  'a context left behind by rollback': closed(
    'the next user of a pooled connection',
    'contexts are local to a transaction',
  ),
  'a context left behind by error': closed(
    'the next user of a pooled connection',
    'contexts are local to a transaction',
  ),
  'a context left behind by cancel': closed(
    'the next user of a pooled connection',
    'contexts are local to a transaction',
  ),
  'a context left behind by timeout': closed(
    'the next user of a pooled connection',
    'contexts are local to a transaction',
  ),
  'a context entered outside a transaction': closed(login, 'contexts are local to a transaction'),
  'a context kept by a savepoint': closed(login, 'settings follow savepoints'),
  'SET, RESET, DISCARD and ROLE games': closed(login, 'no setting of the session is trusted'),
  'turning into another role': closed(login, 'the login is a member of tenantry_user only'),
  'row_security switched off by an earlier user of the connection': closed(
    'an earlier user of a pooled connection',
    'enter() switches it on',
  ),
  'one’s own login shut out for good': stated(
    login,
    'every role may change its own settings and password; it harms the login, and shows nothing',
    'security.md',
    'Whoever has SQL in a session may change the settings and the password of its login',
  ),
  'a prepared plan used under another identity': closed(
    'the next user of a pooled connection',
    'policies ask for the identity at every execution',
  ),
  'a prepared plan used under another role': closed(
    login,
    'PostgreSQL plans anew for another role',
  ),
  'a portal or cursor used after its transaction': closed(
    'the next user of a pooled connection',
    'PostgreSQL closes them with the transaction',
  ),
  'a cursor WITH HOLD read by the next user of the connection': stated(
    'the next user of a pooled connection',
    'its rows are the session’s own copy; whoever pools connections must close or reset them',
    'security.md',
    'A cursor WITH HOLD outlives its transaction',
  ),
  'an open cursor that changes hands inside one transaction': stated(
    login,
    'it goes on as who opened it, in the transaction that had that credential',
    'security.md',
    'An open cursor goes on as who opened it',
  ),
  'two contexts in one transaction': closed(login, 'enter() refuses a second identity'),
  'a second credential after the first context was thrown away': stated(
    login,
    'needs credentials of both',
    'security.md',
    'Whoever holds two credentials may use one after the other in a transaction',
  ),
  'a deferred trigger that runs as the last identity of a transaction': closed(
    login,
    'nothing of tenantry’s is deferrable',
  ),
  'a pass used by another login, in another database, or altered': closed(
    'a second application login',
    'passes are signed for login and database',
  ),
  'a session context used in another connection': closed(
    'a login bound to a person',
    'the signature covers the server process and the login',
  ),
  'a session context forged or altered': closed(
    'a login bound to a person',
    'every field is signed',
  ),
  'a session context used after it has ended': closed(
    'a login bound to a person',
    'the signature covers its end; whether the login is a person’s is asked each time',
  ),
  'a session context on a pooled connection': closed(
    login,
    'only logins bound as a person’s enter sessions',
  ),
  'a bound login made again under the same name': closed(
    'whoever may create roles',
    'logins are known by their OID',
  ),
  'behind PgBouncer, a context left behind by commit': closed(
    'the next client of a transaction pooler',
    'contexts are local to a transaction',
  ),
  'behind PgBouncer, a context left behind by rollback': closed(
    'the next client of a transaction pooler',
    'contexts are local to a transaction',
  ),
  'behind PgBouncer, a context left behind by error': closed(
    'the next client of a transaction pooler',
    'contexts are local to a transaction',
  ),
  'behind PgBouncer, a context left behind by cancel': closed(
    'the next client of a transaction pooler',
    'contexts are local to a transaction',
  ),
  'behind PgBouncer, a context left behind by timeout': closed(
    'the next client of a transaction pooler',
    'contexts are local to a transaction',
  ),
  'behind PgBouncer, a context replayed on another server connection': closed(
    'a client of a transaction pooler',
    'the signature covers the start of the transaction',
  ),
  'behind PgBouncer, a session setting that another client finds': stated(
    'a client of a transaction pooler',
    'a transaction pooler keeps session settings; contexts are no such setting, and enter() trusts none',
    'security.md',
    'A transaction pooler hands on what a client sets for its session',
  ),
  'behind PgBouncer, everything that the mutants are found by': closed(
    'a client of a transaction pooler',
    'contexts are local to a transaction, credentials are verified by the server',
  ),
  'behind PgBouncer, a prepared plan that another client finds': closed(
    'the next client of a transaction pooler',
    'policies ask for the identity at every execution',
  ),
  'behind PgBouncer, a cursor WITH HOLD that another client finds': stated(
    'the next client of a transaction pooler',
    'its rows are the session’s own copy, and the pooler hands sessions on; the runtime declares none',
    'security.md',
    'A cursor WITH HOLD outlives its transaction',
  ),
} as const satisfies Record<string, Verdict>
