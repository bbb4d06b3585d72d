/** What protect() refuses, and the next command that it names. */
export interface Refused {
  readonly name: string
  /** Run by the owner of the tables. */
  readonly given: string
  /** Run by the superuser afterwards. */
  readonly and?: string
  readonly protect: string
  readonly bySuperuser?: boolean
  readonly code?: string
  readonly message: RegExp
  readonly hint: RegExp
  /** After the hint's statement is carried out by the owner, this must work. */
  readonly then?: string
}

const id = `'00000000-0000-4000-8000-00000000000a'`
const parent = (name: string) =>
  `create table ${name} (id int primary key, owner_id uuid not null references users)`

export const refusedColumns: readonly Refused[] = [
  {
    name: 'rows without an owner',
    given: `create table r1 (id int, owner_id uuid references users); insert into r1 values (1, null), (2, null), (3, ${id})`,
    protect: `'r1'`,
    message: /^2 rows of .*r1 have no owner \(owner_id is null\)$/,
    hint: /update public\.r1 set owner_id = … where owner_id is null; then protect it again/,
  },
  {
    name: 'rows without a parent, owner column missing',
    given: `${parent('r2p')}; select tenantry.protect('r2p');
      create table r2 (id int, p_id int references r2p); insert into r2 values (1, null)`,
    protect: `'r2', owner_from => '{p_id}'`,
    message: /^1 rows of .*r2 have no parent to take an owner from/,
    hint: /alter table public\.r2 add column owner_id uuid/,
  },
  {
    name: 'rows without owner and parent',
    given: `${parent('r3p')}; select tenantry.protect('r3p');
      create table r3 (id int, p_id int references r3p, owner_id uuid); insert into r3 values (1, null, null), (2, null, ${id})`,
    protect: `'r3', owner_from => '{p_id}'`,
    message: /^1 rows of .*r3 have neither an owner nor a parent to take it from$/,
    hint: /update public\.r3 set owner_id = … where owner_id is null; then protect it again/,
  },
  {
    name: 'rows whose parent is missing',
    given: `${parent('r4p')}; select tenantry.protect('r4p');
      create table r4 (id int, p_id int); insert into r4 values (1, 77);
      alter table r4 add foreign key (p_id) references r4p not valid`,
    protect: `'r4', owner_from => '{p_id}'`,
    bySuperuser: true,
    message: /^1 rows of .*r4 point at rows of .*r4p that are missing$/,
    hint: /Run: delete from public\.r4 .*;/,
    then: `'r4', owner_from => '{p_id}'`,
  },
  {
    name: 'a key that was never validated, to a parent that the owner does not see',
    given: `${parent('r5p')}; select tenantry.protect('r5p');
      create table r5 (id int, p_id int, owner_id uuid);
      alter table r5 add foreign key (p_id) references r5p not valid`,
    protect: `'r5', owner_from => '{p_id}'`,
    message: /^foreign key r5_p_id_fkey of .*r5 was never validated/,
    hint: /A superuser runs: alter table public\.r5 validate constraint r5_p_id_fkey;/,
    then: `'r5', owner_from => '{p_id}'`,
  },
  {
    name: 'a foreign key to something else than the id of a kind',
    given: `create table r15p (id text primary key, email text unique); select tenantry.register_kind('person', 'r15p');
      create table r15 (id int, mail text references r15p (email))`,
    protect: `'r15'`,
    message: /does not say by itself who owns its rows: 0 foreign key columns/,
    hint: /tenantry\.protect\('public\.r15', owner_column => '…'/,
  },
  ...(['numeric', 'char(40)', 'citext_like', 'r6_enum', 'text[]', 'json'] as const).map(
    (type, n) => ({
      name: `an owner of type ${type}`,
      given: `${n === 0 ? `create type r6_enum as enum ('a'); create domain citext_like as char(20);` : ''}
      create table r6_${n} (id int, owner_id ${type} not null)`,
      protect: `'r6_${n}', 'owner_id', 'team'`,
      message: /^owners of type .* are not supported \(.*r6_\d\.owner_id\)$/,
      hint: /Run: alter table public\.r6_\d alter column owner_id type text;/,
      then: `'r6_${n}', 'owner_id', 'team'`,
    }),
  ),
  {
    name: 'an owner of another type than the kind has',
    given: `create table r7 (id int, owner_id bigint not null)`,
    protect: `'r7', 'owner_id', 'user'`,
    message: /owner_id is of type bigint, but ids of kind user are of type uuid/,
    hint: /owner_kind/,
  },
  {
    name: 'a generated owner',
    given: `create table r8 (id int, x uuid, owner_id uuid generated always as (x) stored)`,
    protect: `'r8', 'owner_id', 'user'`,
    message: /r8\.owner_id is a generated column$/,
    hint: /Run: alter table public\.r8 alter column owner_id drop expression;/,
    then: `'r8', 'owner_id', 'user'`,
  },
  {
    name: 'a column that is not there',
    given: `create table r9 (id int)`,
    protect: `'r9', 'owner_id', 'user'`,
    message: /r9 has no column owner_id$/,
    hint: /alter table public\.r9 add column owner_id uuid;/,
    then: `'r9', 'owner_id', 'user'`,
  },
  {
    name: 'an unknown kind',
    given: `create table r10 (id int, owner_id uuid)`,
    protect: `'r10', 'owner_id', 'ghost'`,
    message: /^kind 'ghost', the owner of .*r10, is not registered$/,
    hint: /select tenantry\.register_kind\('ghost', '<table>'\);/,
  },
  {
    name: 'an owner of a kind that nothing tells',
    given: `create table r11 (id int, owner_id uuid)`,
    protect: `'r11', 'owner_id'`,
    message: /no foreign key tells of which kind the owners in .*r11\.owner_id are/,
    hint: /select \* from tenantry\.protect\('public\.r11', owner_column => 'owner_id', owner_kind => '…'\);/,
  },
  {
    name: 'two candidates for the owner',
    given: `create table r12 (id int, a uuid references users, b int references shops)`,
    protect: `'r12'`,
    message: /2 foreign key columns point at registered kinds \(a, b\)/,
    hint: /tenantry\.protect\('public\.r12', owner_column => '…'/,
  },
  {
    name: 'unchecked_references that are no columns',
    given: `create table r13 (id int, owner_id uuid references users)`,
    protect: `'r13', unchecked_references => '{owner_id,nothing}'`,
    message: /r13 has no column nothing$/,
    hint: /unchecked_references names columns of foreign keys.*select .*pg_constraint/s,
  },
  {
    name: 'an owner whose collation takes two ids for one',
    given: `create collation sloppy (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create table r14 (id int, owner_id text collate sloppy)`,
    protect: `'r14', 'owner_id', 'team'`,
    message: /r14\.owner_id compares by collation .*sloppy, which takes different ids for one$/,
    hint: /Run: alter table public\.r14 alter column owner_id type text collate "C";/,
    then: `'r14', 'owner_id', 'team'`,
  },
]

export const refusedParents: readonly Refused[] = [
  {
    name: 'owner_from without a foreign key',
    given: `${parent('f1p')}; select tenantry.protect('f1p'); create table f1 (id int, p_id int)`,
    protect: `'f1', owner_from => '{p_id}'`,
    message: /f1 has no foreign key over \{p_id\}$/,
    hint: /alter table public\.f1 add foreign key \(p_id\) references <parent>;/,
  },
  {
    name: 'a parent that is not protected',
    given: `${parent('f2p')}; create table f2 (id int, p_id int references f2p)`,
    protect: `'f2', owner_from => '{p_id}'`,
    message: /f2p, the parent of .*f2, has no owners: it is not protected$/,
    hint: /select \* from tenantry\.protect\('public\.f2p'/,
  },
  {
    name: 'a parent that is shared',
    given: `create table f3p (id int primary key); select tenantry.share('f3p'); create table f3 (id int, p_id int references f3p)`,
    protect: `'f3', owner_from => '{p_id}'`,
    message: /has no owners: it is shared$/,
    hint: /tenantry\.unshare\('public\.f3p'\);/,
  },
  {
    name: 'a parent that is exempt',
    given: `create table f4p (id int primary key); select tenantry.exempt('f4p', 'a test'); create table f4 (id int, p_id int references f4p)`,
    protect: `'f4', owner_from => '{p_id}'`,
    message: /has no owners: it is exempt$/,
    hint: /tenantry\.unexempt\('public\.f4p'\);/,
  },
  {
    name: 'owner_from and owner_kind at once',
    given: `${parent('f5p')}; select tenantry.protect('f5p'); create table f5 (id int, p_id int references f5p)`,
    protect: `'f5', owner_from => '{p_id}', owner_kind => 'user'`,
    message: /exclude one another/,
    hint: /parent's kind/,
  },
  {
    name: 'an owner column of another type than the parent has',
    given: `${parent('f6p')}; select tenantry.protect('f6p'); create table f6 (id int, p_id int references f6p, owner_id text)`,
    protect: `'f6', owner_from => '{p_id}'`,
    message: /f6 has a column owner_id of another type than the owner of .*f6p$/,
    hint: /owner_column => '…'/,
  },
]

export const refusedRelations: readonly Refused[] = [
  {
    name: 'no table at all',
    given: '',
    protect: 'null',
    message: /needs a table/,
    hint: /schema\.table/,
  },
  {
    name: 'a system table',
    given: '',
    protect: `'pg_catalog.pg_class', 'relowner', 'user'`,
    message: /pg_class is a system table/,
    hint: /Only tables of the application/,
  },
  {
    name: `tenantry's own table`,
    given: '',
    protect: `'tenantry_private.kinds', 'kind', 'user'`,
    message: /kinds is a system table/,
    hint: /Only tables of the application/,
  },
  {
    name: 'an unlogged table',
    given: `create unlogged table u1 (id int, owner_id uuid references users)`,
    protect: `'u1'`,
    message: /u1 is unlogged/,
    hint: /Run: alter table public\.u1 set logged;/,
    then: `'u1'`,
  },
  {
    name: 'a view',
    given: `create table u2t (id int); create view u2 as select * from u2t`,
    protect: `'u2', 'id', 'shop'`,
    message: /u2 is a view/,
    hint: /alter view public\.u2 set \(security_invoker = true\);/,
  },
  {
    name: 'a materialized view',
    given: `create table u3t (id int); create materialized view u3 as select * from u3t`,
    protect: `'u3', 'id', 'shop'`,
    message: /u3 is a materialized view/,
    hint: /revoke all on public\.u3 from public, tenantry_user;/,
  },
  {
    name: 'a partition',
    given: `create table u4 (id int, owner_id uuid) partition by hash (id);
      create table u4_0 partition of u4 for values with (modulus 1, remainder 0)`,
    protect: `'u4_0', 'owner_id', 'user'`,
    message: /u4_0 is a partition/,
    hint: /tenantry\.protect\('public\.u4'/,
  },
  {
    name: 'a sequence',
    given: `create sequence u5`,
    protect: `'u5', 'last_value', 'account'`,
    message: /u5 is not a table/,
    hint: /Name a table/,
  },
  {
    name: 'a table of a superuser',
    given: `create table u6 (id int, owner_id uuid references users)`,
    and: `alter table u6 owner to session_user`,
    protect: `'u6'`,
    message: /u6 belongs to .*, which is a superuser/,
    hint: /alter table public\.u6 owner to <role>;/,
  },
  {
    name: 'a table declared shared',
    given: `create table u7 (id int, owner_id uuid references users); select tenantry.share('u7')`,
    protect: `'u7'`,
    message: /u7 is declared shared/,
    hint: /Run: select \* from tenantry\.unshare\('public\.u7'\);/,
    then: `'u7'`,
  },
  {
    name: 'a table declared exempt',
    given: `create table u8 (id int, owner_id uuid references users); select tenantry.exempt('u8', 'a test')`,
    protect: `'u8'`,
    message: /u8 is declared exempt/,
    hint: /Run: select tenantry\.unexempt\('public\.u8'\);/,
    then: `'u8'`,
  },
  {
    name: 'a table protected by another column',
    given: `create table u9 (id int, a uuid not null, b uuid not null); select tenantry.protect('u9', 'a', 'user')`,
    protect: `'u9', 'b', 'user'`,
    message: /u9 is protected already, by owner_column a of kind user/,
    hint: /Run: select \* from tenantry\.unprotect\('public\.u9'\);/,
    then: `'u9', 'b', 'user'`,
  },
]
