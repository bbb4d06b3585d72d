import { type Verdict, closed, login, stated } from './verdict.js'

/** Identities, writes, privileges, references, and what statements tell beside their rows. */
export const rows = {
  'no context': closed(login, 'no principal equals no owner'),
  'an unknown entity': closed(
    'whoever can mint a credential',
    'entities must be registered, spelled exactly',
  ),
  'an entity of another kind with the same id': closed(
    'whoever can mint a credential',
    'the kind is part of the entity',
  ),
  'an entity that is gone': closed(
    'whoever can mint a credential',
    'triggers on the table of the kind end it',
  ),
  'an id that comes back and wants what the old one had': closed(
    'whoever may insert the row',
    'what is given hangs on one life of an id',
  ),
  'an agent that acts for a stranger': closed(
    'whoever can mint a credential',
    'every link of the chain is looked up',
  ),
  'an agent that was taken away from its owner': closed(
    'whoever can mint a credential',
    'the owner is looked up each time',
  ),
  'making an agent that acts for somebody else': closed(
    login,
    'the owner column is the one that protects the row',
  ),
  'entering or assuming without the right to': closed(
    'any login',
    'EXECUTE is granted by name, and the login looked up',
  ),
  'inserting a row for a foreign owner': closed(login, 'WITH CHECK'),
  'giving a row to somebody else, or taking one': closed(login, 'USING and WITH CHECK'),
  'a row of an inheritance child taken over by whoever may change it': closed(
    'whoever was given something',
    'inheritance children have the triggers of the table',
  ),
  'deleting a foreign row': closed(login, 'USING'),
  'an upsert that lands on a foreign row': closed(login, 'USING, checked on the row it lands on'),
  'MERGE into foreign rows': closed(login, 'USING and WITH CHECK'),
  'writing inside a CTE': closed(login, 'USING and WITH CHECK'),
  COPY: closed(login, 'row-level security holds for COPY TO, and COPY FROM is refused under it'),
  'carrying rows away into a table of one’s own': closed(
    login,
    'no CREATE, no TEMPORARY; and rows would be one’s own',
  ),
  'a row that is locked for a foreign owner': closed(login, 'USING'),
  'TRUNCATE, REFERENCES and TRIGGER': closed(login, 'protect() takes them away'),
  'changing the protection itself': closed(login, 'the login owns nothing'),
  'a partition or an inheritance child read directly': closed(
    login,
    'no grants below a protected table, and row-level security without a policy',
  ),
  'a partition attached outside the watched path': stated(
    login,
    'where no event trigger looks on: open by its own name where default privileges grant it, until sync() is run',
    'security.md',
    'A partition that is attached with grants of its own',
  ),
  'a table made outside the watched path': stated(
    login,
    'outside of managed schemas, and where no event trigger looks on: open until check() is read',
    'security.md',
    'A new table is as open as its grants',
  ),
  'locking a table for everybody': stated(
    login,
    'whoever may write a table may lock it',
    'security.md',
    'Whoever may write a table may lock it',
  ),
  'pointing at a foreign row': closed(login, 'references are checked as the writer'),
  'probing for a foreign row by a foreign key': closed(
    login,
    'the error is the same as for a missing row',
  ),
  'probing for a foreign parent by the name of the key that fails': stated(
    login,
    'of two keys to a parent PostgreSQL names the one that failed; the runtime’s error does not',
    'security.md',
    'A child of a foreign parent and one of a missing parent are refused by keys of different names',
  ),
  'cascading into foreign rows': stated(
    login,
    'rows that pointed across owners before, and references left unchecked on purpose, follow the row they point at',
    'security.md',
    'Rows that pointed across owners before they were protected follow the row they point at',
  ),
  'changing the key that one’s own rows are pointed at by': closed(
    login,
    'nobody else’s rows point at it',
  ),
  'a unique key as an oracle': stated(
    login,
    'unique keys hold across owners: a collision tells that a value is taken',
    'security.md',
    'A unique key over columns without the owner tells that a value exists',
  ),
  'a sequence as a counter of everybody’s rows': stated(
    login,
    'numbers that are missing are others’',
    'security.md',
    'Sequences show how many rows were made',
  ),
  'functions and operators in WHERE that leak what they are given': closed(
    login,
    'policies are asked before any function that is not leakproof',
  ),
  'errors on foreign values': closed(login, 'policies are asked first'),
  'rows shown by an error of one’s own': closed(
    login,
    'PostgreSQL leaves values out of errors under row-level security',
  ),
  'making a function, an operator or a cast that leaks': closed(login, 'no CREATE anywhere'),
  EXPLAIN: stated(
    login,
    'shows how many rows a filter removed, never their values',
    'security.md',
    'Timing, aggregate counters and shared resources',
  ),
  'counters and statistics of the catalog': stated(
    login,
    'shows sizes and numbers of rows, never values',
    'security.md',
    'Timing, aggregate counters and shared resources',
  ),
  'the text of statements that others run': stated(
    login,
    'sessions of one login see one another’s texts: bind values, do not paste them',
    'security.md',
    '`pg_stat_activity` shows a session the SQL text of other sessions of its login',
  ),
} as const satisfies Record<string, Verdict>
