import type { Mutant } from './mutants.js'

const owner = 'owner_id'
const replacePolicy = (name: string, kind: string, command: string, body: string): string =>
  `drop policy ${name} on town.notes; create policy ${name} on town.notes as ${kind} for ${command} to tenantry_user ${body}`
const bothPolicies = (command: string, body: string): string =>
  replacePolicy(`tenantry_${command}`, 'permissive', command, body) +
  ';' +
  replacePolicy(`tenantry_${command}_floor`, 'restrictive', command, body)
const mine = (command: string): string =>
  `${owner} = (select tenantry.principal('user', '${command}')::uuid)`

export const mutants: Record<string, Mutant> = {
  'a policy dropped': 'drop policy tenantry_select on town.notes',
  'USING true for reading': bothPolicies('select', 'using (true)'),
  'USING true for deleting': bothPolicies('delete', 'using (true)'),
  'WITH CHECK true on insert': bothPolicies('insert', 'with check (true)'),
  'USING true for updating': bothPolicies('update', `using (true) with check (${mine('update')})`),
  // What keeps the owner of a row stands behind that check.
  'WITH CHECK true on update, and owners not kept':
    bothPolicies('update', `using (${mine('update')}) with check (true)`) +
    '; drop trigger tenantry_owner_kept on town.notes; drop trigger tenantry_owner_kept on town.lines',
  'policies that ask for another kind': bothPolicies(
    'select',
    `using (${mine('select').replace("'user'", "'agent'")})`,
  ),
  'FORCE off':
    'alter table town.notes no force row level security; create policy o on town.notes to attacks_owner using (true)',
  'row-level security off': 'alter table town.lines disable row level security',
  'the floor dropped and a permissive policy added':
    'drop policy tenantry_select_floor on town.notes; create policy p on town.notes using (true)',
  'the owner’s default removed': 'alter table town.notes alter column owner_id drop default',
  'the reference trigger dropped': 'drop trigger tenantry_references_insert on town.comments',
  'the reference trigger for updates dropped':
    'drop trigger tenantry_references_update on town.comments',
  'the key to the parent dropped': `do $$ begin execute (select 'alter table town.lines drop constraint ' || quote_ident(conname)
     from pg_constraint where conrelid = 'town.lines'::regclass and cardinality(conkey) = 2 and contype = 'f'); end $$`,
  'the kind’s trigger dropped': 'drop trigger tenantry_kind on town.users',
  'TRUNCATE granted': 'grant truncate on town.notes, town.comments, town.lines to tenantry_user',
  'the signature of contexts not checked': {
    routine: 'tenantry_private.opened',
    from: /and tenantry_private\.same_mac\([\s\S]*?key\)\)\s+then field/,
    to: 'then field',
  },
  'contexts not bound to their transaction': [
    'tenantry_private.set_context',
    'tenantry_private.open_context',
    'tenantry.enter(text)',
    'tenantry.principal',
  ].map((routine) => ({
    routine,
    from: 'timestamptz_send(now())',
    to: `timestamptz_send('epoch')`,
  })),
  'expiry ignored': {
    routine: 'tenantry_private.open_context',
    from: 'field[3] > tenantry_private.instant(statement_timestamp()) and ',
    to: '',
  },
  'the statement rule skipped': {
    routine: 'tenantry_private.open_context',
    from: ' and field[2] <> tenantry_private.instant(statement_timestamp())',
    to: '',
  },
  'a second identity let in': {
    routine: 'tenantry_private.settle',
    from: /if field is not null[^;]*? then/,
    to: 'if false then',
  },
  'the links of a chain not asked': {
    routine: 'tenantry_private.chain_privileges',
    from: /direct := tenantry_private\.link_privileges\([^;]*;/,
    to: 'direct := 63;',
  },
  'the privileges of a chain not intersected': {
    routine: 'tenantry_private.chain_privileges',
    from: 'bits := bits & direct',
    to: 'bits := bits & case when direct = 0 then 0 else 63 end',
  },
  'entities not looked up': {
    routine: 'tenantry_private.require_entity',
    from: /if not exists \([\s\S]*?gone_at is null\) then/,
    to: 'if false then',
  },
  'the kind of an entity ignored': {
    routine: 'tenantry.principal',
    from: /starts_with\(field\[6\], kind \|\| ':'\) and/,
    to: '',
  },
  'the signature of tokens not checked': {
    routine: 'tenantry_private.verified_claims',
    from: /or sha256\(convert_to\(part\[3\][\s\S]*?then/,
    to: 'then',
  },
  'the audience of tokens ignored': {
    routine: 'tenantry_private.refuse_claims',
    from: /if claim -> 'aud' is distinct[^;]*? then/,
    to: 'if false then',
  },
  'the expiry of tokens ignored': {
    routine: 'tenantry_private.refuse_claims',
    from: /elsif [^;]*? <= at_present then/,
    to: 'elsif false then',
  },
  'the signature of contexts not checked by policies': {
    routine: 'tenantry.principal',
    from: /and tenantry_private\.same_mac\([\s\S]*?key\)\)/,
    to: '',
  },
  'expiry ignored by policies': {
    routine: 'tenantry.principal',
    from: 'and field[3] > tenantry_private.instant(statement_timestamp())',
    to: '',
  },
  'the statement rule skipped by policies': {
    routine: 'tenantry.principal',
    from: 'and field[2] <> tenantry_private.instant(statement_timestamp())',
    to: '',
  },
  'the signature of tokens not checked on the way in': {
    routine: 'tenantry.enter(text)',
    from: /and sha256\(convert_to\(part\[3\][\s\S]*?issuer_secret\)\), 'UTF8'\)\)/,
    to: '',
  },
  'the audience of tokens ignored on the way in': {
    routine: 'tenantry.enter(text)',
    from: "and claim -> 'aud' = to_jsonb(keys.audience)",
    to: '',
  },
  'the expiry of tokens ignored on the way in': {
    routine: 'tenantry.enter(text)',
    from: /between extract\(epoch from clock_timestamp\(\)\)/,
    to: 'between 0',
  },
  'entities not looked up on the way in': {
    routine: 'tenantry.enter(text)',
    from: /if exists \([\s\S]*?gone_at is null\) then/,
    to: 'if true then',
  },
  'the links of a chain not asked on the way in': {
    routine: 'tenantry.enter(text)',
    from: /bits := tenantry_private\.link_privileges\([^;]*;/,
    to: 'bits := 63;',
  },
  'the privileges of a link not kept on the way in': {
    routine: 'tenantry.enter(text)',
    from: 'tenantry_private.privilege_list(bits)',
    to: `tenantry_private.own_privileges(claim ->> 'sub')`,
  },
  'the signature of passes not checked on the way in': {
    routine: 'tenantry.enter(text)',
    from: /and tenantry_private\.same_mac\(substr\(credential, 4, 64\),[\s\S]*?signer\.secret\)\)/,
    to: '',
  },
  'the expiry of passes ignored on the way in': {
    routine: 'tenantry.enter(text)',
    from: 'field[2] > tenantry_private.instant(clock_timestamp())',
    to: 'true',
  },
  'superusers let in': {
    routine: 'tenantry_private.require_ordinary_login',
    from: 'if why is not null then',
    to: 'if false then',
  },
}
