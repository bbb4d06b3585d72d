import { type Verdict, closed, elsewhere, login, stated } from './verdict.js'

const logged = 'A secret stands in bind parameters, so a server that logs those logs it'
const own = 'each value opens in its own place'

/** Secrets, their keys, and names that are SQL: tested where they are built. */
export const secrets = {
  'ciphertext moved to another row, column, table, owner or database': elsewhere(
    closed('whoever writes to the database’s files', 'the tag covers the place'),
    'test/secrets/binding.test.ts',
    'every value opens in its own place and in no other: row, column, table, owner, database',
    own,
  ),
  'ciphertext truncated, or with a bit flipped': elsewhere(
    closed('whoever writes to the database’s files', 'the tag covers every bit'),
    'test/secrets/binding.test.ts',
    'truncated at any length and flipped in any bit, it is refused',
    own,
  ),
  'ciphertext of another place written as one’s own': elsewhere(
    closed(login, 'what was sealed here for another place is refused, all else is a plaintext'),
    'test/secrets/binding.test.ts',
    'what the application writes opens as the plaintext that it is, or is refused: sealed values of other places, too',
    'the value of this very place is taken as it is',
  ),
  'ciphertext replayed from an older key': elsewhere(
    closed('whoever writes to the database’s files', 'the tag covers the version of the key'),
    'test/secrets/binding.test.ts',
    'of two versions of a key each opens its own values only, and the old one none once it is retired',
    'it opened before the rotation',
  ),
  'ciphertext of a retired key written back': elsewhere(
    closed(login, 'only versions in force are taken'),
    'test/secrets/retired-keys.test.ts',
    'a sealed value from before a rotation cannot be written back, and so blocks no later rotation',
    'the value of the new key is taken',
  ),
  'a value sealed last planted for another statement': elsewhere(
    closed(login, 'what was sealed last is signed for its row'),
    'test/secrets/writes.test.ts',
    'what this statement sealed last cannot be planted for another statement',
    'it is taken back in the row it was sealed for',
  ),
  'probing for keys through the functions that the application may call': elsewhere(
    closed(login, 'they give what is sealed, or open one’s own'),
    'test/secrets/hostile-calls.test.ts',
    'every function that the application may call keeps its keys',
    'under the same settings a careless function shows a key',
  ),
  'what is somebody else’s opened with a ring of one’s own, or theirs': elsewhere(
    closed(login, 'rings are sealed, for one principal and transaction'),
    'test/secrets/hostile-calls.test.ts',
    'what belongs to somebody else does not open with one’s own ring, nor with theirs',
    'one’s own opens with one’s own',
  ),
  'a ring of keys used later, elsewhere, or by somebody else': elsewhere(
    closed(login, 'rings are bound to transaction and login'),
    'test/secrets/decrypt.test.ts',
    'a ring is worth nothing in a later transaction, in another session, or for somebody else',
    'it opens where it was made',
  ),
  'the key share read back, copied or set by hand': elsewhere(
    closed(login, 'the share is sealed for the transaction'),
    'test/secrets/keys.test.ts',
    'cannot be read back, copied into another transaction, or set by hand',
    'the share opens secrets where it was brought',
  ),
  'keys read by whoever reads everything': elsewhere(
    closed('a login with pg_read_all_data', 'row-level security without a policy'),
    'test/secrets/no-way-out.test.ts',
    'members of pg_read_all_data and pg_monitor read no key, also not in what ANALYZE has kept',
    'they read what ANALYZE has kept of an ordinary table',
  ),
  'keys and secrets told by debugging settings and errors': elsewhere(
    closed(login, 'secrets are only assigned, and the settings are off inside'),
    'test/secrets/no-way-out.test.ts',
    'reading, writing and failing tell nothing, whoever entered and whatever is printed',
    'a careless function shows a key, and its caller a secret',
  ),
  'a secret shown by the error of a row that fails': elsewhere(
    closed(login, 'it is sealed before anything can fail'),
    'test/secrets/no-way-out.test.ts',
    'a row that fails is shown as ciphertext, if at all',
    'whom row-level security does not bind is shown the row',
  ),
  'a secret in the log, pg_stat_statements, auto_explain, files or WAL': elsewhere(
    closed(
      'whoever reads the server’s log and files',
      'values are bound, and sealed before they are stored',
    ),
    'test/secrets/canary.test.ts',
    'by default a secret, the share and the credential are nowhere; what is not encrypted is found',
    'what is not encrypted is found in all of them',
  ),
  'a secret in a log that holds bind parameters': elsewhere(
    stated(
      'whoever reads the server’s log',
      'the log holds what it is told to; check() names each such setting',
      'security.md',
      logged,
    ),
    'test/secrets/canary.test.ts',
    'the worst settings show bind parameters in the log and nowhere else, no key, and check() names each of them',
    'it is there',
  ),
  'a secret in a dump': elsewhere(
    closed('whoever holds a dump', 'dumps hold ciphertext and one share of two'),
    'test/secrets/canary.test.ts',
    'nor in a dump of either format',
    'what is not encrypted is found',
  ),
  'a secret in dead tuples': elsewhere(
    closed('whoever reads the server’s files', 'it is sealed before the row is stored'),
    'test/secrets/writes.test.ts',
    'no dead row ever held a plaintext',
    'what is stored is found in the same pages',
  ),
  'a secret in what an encrypted column held before': elsewhere(
    closed(
      'whoever reads the server’s files',
      'the last step rewrites the table, and its statistics',
    ),
    'test/secrets/residue.test.ts',
    'before the last step it is found in the table, its TOAST and the statistics; after it nowhere',
    'it is found before the last step',
  ),
  'hostile names in every function that builds SQL': elsewhere(
    closed('whoever names tables, columns and roles', 'names are quoted by format() or regclass'),
    'test/extension/identifiers.test.ts',
    'names of tables, columns, constraints, schemas and roles',
    'every function does its work under each name',
  ),
} as const satisfies Record<string, Verdict>
