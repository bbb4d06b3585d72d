import { type Verdict, closed, login, stated } from './verdict.js'

/** Delegation, whoever is nobody, and what reaches across tenants. */
export const acting = {
  'giving what is somebody else’s': closed(login, 'who gives holds delegate on the data'),
  'an agent or a service that hands on what it may do': closed(
    'an agent',
    'acting for an owner, and serving, never leave delegate',
  ),
  'rows put before somebody who did not ask for them': stated(
    login,
    'who is given something, or made a member, is not asked; it shows on the reach path alone, and who holds it may end it',
    'acting-for-others.md',
    'Nobody is asked whether they want what they are given',
  ),
  'a delegation widened by whoever holds it': closed(
    'whoever was given something',
    'what is passed on lies under what it comes from',
  ),
  'a delegation passed on further than it may be': closed(
    'whoever was given something',
    'each step is counted, and only one delegation ends a way',
  ),
  'a delegation passed on in a circle': closed(
    'whoever was given something to pass on',
    'each step has one step less, and all of them end with the first',
  ),
  'a delegation used after it has expired': closed(
    'whoever was given something',
    'the expiry is asked in every statement, and contexts and passes end with it',
  ),
  'a delegation used after it was revoked': closed(
    'whoever was given something',
    'the reach path asks in every statement, enter() each time',
  ),
  'acting on in a transaction that began before the revocation': stated(
    'whoever was given something',
    'a context that acts for somebody by delegation holds to the end of its transaction, as long as contexts live',
    'acting-for-others.md',
    'revocation from the next `enter`',
  ),
  'a cursor that was opened before the revocation': stated(
    'whoever was given something',
    'it goes on with what it saw when it was opened, to the end of its transaction',
    'security.md',
    'An open cursor goes on as who opened it',
  ),
  'a pass used after the revocation': stated(
    'whoever was given something',
    'a pass holds for its seconds, 300 at most, and begets none that lasts longer',
    'acting-for-others.md',
    'when the pass ends, at most its seconds later',
  ),
  'a delegation for some tables used on another': closed(
    'whoever was given something',
    'the table is part of the question; acting for somebody takes one for all tables',
  ),
  'a delegation to or of somebody who was born again': closed(
    'whoever may insert the row',
    'delegations hang on one life of an id',
  ),
  'a delegation ended or read by whom it does not concern': closed(
    login,
    'who gave it, holds it or holds delegate on the data',
  ),
  'what somebody was given, used by whom they gave their own': closed(
    'whoever was given something',
    'a delegation opens the data of one entity, and nothing behind it',
  ),
  'a context whose mark of what is lent is taken out': closed(login, 'every field is signed'),
  'everybody as the receiver, the giver or the actor of a delegation': closed(
    login,
    'delegate() refuses it, and no link leads from or to it',
  ),
  'the anonymous context writing': closed(
    login,
    'it owns nothing, and what is public is only read',
  ),
  'impersonating without the right to': closed(
    'any login',
    'asked are the login, whether it is a person’s, and whether an admin allowed it',
  ),
  'an impersonation written with, prolonged, or carried elsewhere': closed(
    'support staff',
    'it leaves select alone, and is signed with its end for one server process',
  ),
  'breaking the glass without the right to': closed(
    'any login',
    'only logins allowed as maintenance, which are not the application’s',
  ),
  'glass used in another session, after its time, or after the right to': closed(
    'a login for maintenance',
    'it is signed with its end for one server process, and the right is asked each time',
  ),
  'granting across tenants without the right to': closed(
    'whoever owns the table',
    'it takes an admin who owns the table, and a role that is not the application’s',
  ),
  'a role that reads across tenants, lent to the application': closed(
    'whoever grants roles',
    'check() finds it, enter() refuses',
  ),
  'behind PgBouncer, joining a room after somebody who may add members': closed(
    'a client of a transaction pooler',
    'whether one may is asked for the context of the transaction',
  ),
  'behind PgBouncer, what one client was given used by the next': closed(
    'the next client of a transaction pooler',
    'contexts are local to a transaction',
  ),
  'behind PgBouncer, a delegation used after it was revoked or has expired': closed(
    'whoever was given something',
    'the reach path asks in every statement, enter() each time',
  ),
  'behind PgBouncer, a pass used after the revocation': stated(
    'whoever was given something',
    'a pass holds for its seconds, 300 at most',
    'acting-for-others.md',
    'when the pass ends, at most its seconds later',
  ),
  'behind PgBouncer, everything that the mutants of acting are found by': closed(
    'a client of a transaction pooler',
    'contexts are local to a transaction, and the reach path asks in every statement',
  ),
} as const satisfies Record<string, Verdict>
