import { type Verdict, closed, login, stated } from './verdict.js'

const made = closed(
  'the owner of the schema’s tables',
  'in a managed schema an event trigger protects or closes it at birth',
)

/** The protection itself, the powers of tenantry and of its admins, and credentials. */
export const powers = {
  'a policy dropped, altered or replaced': closed(
    'whoever owns the table',
    'check() finds it, sync() mends it',
  ),
  'row-level security disabled or not forced': closed(
    'whoever owns the table',
    'check() finds it, sync() mends it',
  ),
  'triggers that check and follow switched off': closed(
    'whoever owns the table',
    'check() finds it',
  ),
  'the key to a parent dropped, or not enforced': closed(
    'whoever owns the table',
    'check() finds it, sync() mends it',
  ),
  'the owner of a table changed': closed(
    'whoever owns the table',
    'check() finds it, and the new owner may not enter',
  ),
  'BYPASSRLS or SUPERUSER granted to the login': closed(
    'whoever grants roles',
    'check() finds it, enter() refuses',
  ),
  'a login that is superuser, bypasses or owns': closed(
    'such a login',
    'allow() and enter() refuse it',
  ),
  'what the group holds dropped by one of its logins': closed(
    login,
    'an event trigger refuses to drop policies of protected tables',
  ),
  'the same where no event trigger looks on': stated(
    login,
    'PostgreSQL lets members drop what their group holds: nobody sees anything then, unless a policy of the application’s own permits it',
    'security.md',
    'may drop the policies of tenantry_user by DROP OWNED',
  ),
  'the audit held up by locks that everybody may take': closed(
    login,
    'it goes by a lock on a table of tenantry’s own',
  ),
  'the audit held up by a transaction that is left open': stated(
    login,
    'each entry has the hash of the one before it, so the next one waits for its transaction',
    'security.md',
    'holds up whatever else is audited',
  ),
  'a rollout or a rotation held up by a lock that everybody may take': stated(
    login,
    'only an advisory lock outlasts the commits of its batches; the error names who holds it',
    'security.md',
    'may take the advisory locks by which',
  ),
  'a permissive policy of the application’s': closed(
    'whoever owns the table',
    'each policy has a restrictive twin',
  ),
  'temporary tables given back': closed('the database’s owner', 'check() finds it'),
  'a search_path that runs as SQL when the login is allowed again': closed(
    login,
    'names are taken apart and quoted',
  ),
  'a cast of one’s own that runs as tenantry when a kind’s row is written': closed(
    'the owner of a kind’s table',
    'only columns of PostgreSQL’s own types are read',
  ),
  'types of one’s own that run as tenantry when an actor is recorded': closed(
    'the owner of a table',
    'nothing but the column itself is read, and only one of PostgreSQL’s own types is written',
  ),
  'types of one’s own that run as tenantry when a secret is sealed': closed(
    'the owner of a table',
    'values of keys are read by their types’ own output, not by casts',
  ),
  'what others have sealed opened by code of a table’s owner': closed(
    'the owner of a table, while secrets are sealed anew',
    'values become what the open job of their own column makes of them, and nothing else',
  ),
  'a view, or somebody else’s table, declared as a kind by an admin': closed(
    'an admin without superuser',
    'a kind is a table that the admin owns',
  ),
  'somebody else’s table opened through the registry by an admin': closed(
    'an admin without superuser',
    'only the owner declares a table',
  ),
  'the halves of functions that an admin may call': closed(
    'an admin without superuser',
    'none gives out a key, or does more than its caller may',
  ),
  'functions of one’s own in place of those that tenantry calls': closed(
    'a login with CREATE and TEMPORARY',
    'definer functions pin their path and settings',
  ),
  'pgcrypto moved away by the owner of the database': closed(
    'the database’s owner',
    'tenantry holds pgcrypto’s functions, not their names',
  ),
  'code of a table’s owner run by a superuser’s protect(), in a constraint': closed(
    'the owner of a table',
    'protect() and sync() refuse to fill owners as a superuser where such code would run',
  ),
  'code of a table’s owner run by a superuser’s protect(), in a generated column': closed(
    'the owner of a table',
    'protect() and sync() refuse to fill owners as a superuser where such code would run',
  ),
  'code of a table’s owner run by a superuser’s protect(), in an index': closed(
    'the owner of a table',
    'protect() and sync() refuse to fill owners as a superuser where such code would run',
  ),
  'code of a table’s owner run by a superuser’s protect(), in a partial index': closed(
    'the owner of a table',
    'protect() and sync() refuse to fill owners as a superuser where such code would run',
  ),
  'code of a table’s owner run by a superuser’s protect(), in a rule': closed(
    'the owner of a table',
    'protect() and sync() refuse to fill owners as a superuser where such code would run',
  ),
  'code of a table’s owner run by a superuser’s protect(), in a domain': closed(
    'the owner of a table',
    'protect() and sync() refuse to fill owners as a superuser where such code would run',
  ),
  'a trigger of a table’s owner run by a superuser’s protect()': closed(
    'the owner of a table',
    'triggers are still while owners are filled',
  ),
  'SET ROLE to a role that bypasses': closed(
    login,
    'allow() and enter() refuse such a login, check() finds it',
  ),
  'SET ROLE to a group that the floor policies do not bind': closed(
    login,
    'protect() and sync() take what such a group holds, check() finds it',
  ),
  'a login that does not inherit from tenantry_user': closed(
    login,
    'allow() makes it inherit, check() finds it',
  ),
  'SET ROLE to the migration role': closed(login, 'allow() refuses such a login, check() finds it'),
  'a view that shows through another view': closed(
    'whoever owns the table',
    'check() follows views',
  ),
  'a token without a signature, or with another algorithm': closed(
    'whoever can send a credential',
    'the algorithm belongs to the key',
  ),
  'a token by another key': closed('whoever can send a credential', 'only registered keys sign'),
  'a token for another database': closed(
    'whoever can send a credential',
    'the audience must be this database',
  ),
  'a token that has expired, never expires, or is not valid yet': closed(
    'whoever can send a credential',
    'exp is required and bounded, nbf is kept',
  ),
  'a token whose claims are no entities': closed(
    'whoever can mint a credential',
    'claims are checked after the signature too',
  ),
  'garbage, and a megabyte of it': closed(
    'whoever can send a credential',
    'nothing unsigned is parsed but a short header',
  ),
  'keys shown by debugging settings': closed(
    login,
    'keys are only assigned, and the settings are off inside',
  ),
  'rows of others in what an owner makes, by create table': made,
  'rows of others in what an owner makes, by create table as': made,
  'rows of others in what an owner makes, by create table as, with its owner': made,
  'rows of others in what an owner makes, by select into': made,
  'rows of others in what an owner makes, by a partition': made,
  'rows of others in what an owner makes, by an attached partition': made,
  'rows of others in what an owner makes, by an inheritance child': made,
  'rows of others in what an owner makes, by a table that moves in': made,
  'rows of others in what an owner makes, by a materialized view': made,
  'rows of others in what an owner makes, by a foreign table': made,
  'an owner who takes the protection away': closed(
    'the owner of the schema’s tables',
    'event triggers refuse it to whoever is no admin, and record it of admins',
  ),
  'an admin of another database who asks what is declared here': stated(
    'an admin of another database of the cluster',
    'the group’s EXECUTE belongs to the cluster: what is declared can be asked, no row, key or right is had',
    'security.md',
    'A tenantry admin of another database of the cluster may ask what is declared here',
  ),
} as const satisfies Record<string, Verdict>
