import type { Guard } from './definers.js'
import { type RoomTown, alice, bob } from './rooms.js'
import { service } from './town.js'

/** The guards of functions that definers call: shares, keys, tags, and what event triggers ask. */
export function helperGuards(at: RoomTown): Record<string, readonly Guard[]> {
  const right = `sha256('a share of the tests')`
  const enters = (who: string, share: string): string => `select tenantry.enter('${who}', ${share})`
  const asAlice = enters(at.credential(alice.entity), right)
  const undecrypting = enters(at.credential(alice.entity, service), right)
  const secret = 'select token from tenant.vault'
  const manage = `reset session authorization;
    select * from tenantry.manage_schema('town', owner_column => 'owner_id', owner_kind => 'user');
    set session authorization LOGIN`
  const mayOpen: Guard = {
    what: 'the privilege decrypt',
    from: /and strpos\(field\[4\], ',decrypt,'\) > 0/,
    to: '',
    by: 'app',
    first: [undecrypting],
    ask: secret,
    held: /^\[\[null\]\]/,
  }
  const weakening = (what: string, from: RegExp, to: string, ask: string): Guard => ({
    what,
    from,
    to,
    by: 'outsider',
    ask,
    held: /^42501/,
  })
  return {
    'tenantry_private.unlock(bytea)': [
      {
        what: 'the share',
        from: /tenantry_private\.hmac_sha256\(key_share, master\.share\)/,
        to: `tenantry_private.hmac_sha256(${right}, master.share)`,
        by: 'app',
        first: [enters(at.credential(alice.entity), `sha256('another share')`)],
        ask: secret,
        held: /^TN005/,
      },
    ],
    'tenantry_private.current_share()': [
      {
        what: 'the signature of the share',
        from: /tenantry_private\.opened\('h1', kept, timestamptz_send\(now\(\)\)\)/,
        to: `string_to_array(substr(kept, 69), E'\\x1f')`,
        by: 'app',
        first: [
          asAlice,
          `select set_config('tenantry.key_share', overlay(current_setting('tenantry.key_share') placing repeat('0', 64) from 4 for 64), true)`,
        ],
        ask: secret,
        held: /^TN005/,
      },
    ],
    'tenantry_private.may_open(text)': [
      {
        ...mayOpen,
        ask: `select tenantry.blind_index(column_id, 'x') is null from tenantry.encrypted_columns where column_name = 'token'`,
        held: /^\[\[true\]\]/,
      },
    ],
    'tenantry_private.may_open(text,tenantry_private.signing_keys)': [mayOpen],
    'tenantry_private.settle_secret(text,uuid,bytea,bytea,text,bytea,text,bytea)': [
      {
        what: 'whose a sealed value is that is written',
        from: /perform tenantry_private\.refuse_value\(\);/,
        to: 'settled.value := shape; return settled;',
        by: 'app',
        first: [asAlice],
        ask: `insert into town.vault (id, raw) select 2, raw from town.vault where id = 1`,
        held: /^TN006/,
      },
    ],
    'tenantry_private.require_decrypt(text,text)': [
      {
        what: 'the privilege decrypt',
        from: /begin[\s\S]*end/,
        to: 'begin return; end',
        by: 'app',
        first: [undecrypting],
        ask: 'update town.vault set token = null',
        held: /^(42501|TN)/,
      },
    ],
    // What is dropped is refused by after_drop(), what lies below by judge_ddl() itself: here they are the second to ask.
    'tenantry_private.weakness(oid)': [
      weakening(
        'whether row-level security is on',
        /if not relation\.relrowsecurity then\s+return [^;]*;\s+elsif/,
        'if',
        'alter table town.posts disable row level security',
      ),
      weakening(
        'whether it is forced',
        /elsif not relation\.relforcerowsecurity and [^;]*;/,
        '',
        'alter table town.posts no force row level security',
      ),
      weakening(
        'whether triggers are off',
        /lost := tenantry_private\.triggers_off\(target\);/,
        '',
        'alter table town.posts disable trigger tenantry_owner_kept',
      ),
      weakening(
        'whose the table is',
        /elsif not exists \(select from tenantry_private\.guarded_relations[\s\S]*?relation\.rolname\);/,
        '',
        'alter table town.posts owner to LOGIN',
      ),
    ],
    'tenantry_private.judge_policy(oid,boolean)': [
      weakening(
        'permissive policies of others',
        /elsif item\.polpermissive and/,
        'elsif false and',
        'create policy mine on town.notes using (true)',
      ),
      weakening(
        'policies of tenantry that are altered',
        /perform tenantry_private\.note_weakening\(item\.polrelid, format\('policy %I is tenantry''s', item\.polname\)\);/,
        'null;',
        'alter policy tenantry_select on town.notes using (true)',
      ),
      weakening(
        'floors that are renamed',
        /elsif altered and/,
        'elsif false and',
        'alter policy tenantry_select_floor on town.notes rename to mine',
      ),
      weakening(
        'policies of a partition',
        /if item\.polpermissive and/,
        'if false and',
        'create policy mine on town.events_low using (true)',
      ),
    ],
    'tenantry_private.judge_trigger(oid)': [
      weakening(
        'triggers of tenantry that are renamed',
        /perform tenantry_private\.refuse_weakening\(/,
        'perform concat(',
        'alter trigger tenantry_owner_kept on town.posts rename to mine',
      ),
    ],
    'tenantry_private.judge_rule(oid)': [
      weakening(
        'rules that work as their owner',
        /perform tenantry_private\.note_weakening\(/,
        'perform concat(',
        'create rule mine as on update to town.posts do also select * from town.posts',
      ),
    ],
    'tenantry_private.judge_grants()': [
      weakening(
        'grants that no policy binds',
        /perform tenantry_private\.note_weakening\(/,
        'perform concat(',
        'grant truncate on town.notes to tenantry_user',
      ),
      weakening(
        'ways into a partition',
        /perform tenantry_private\.note_weakening\(/,
        'perform concat(',
        'grant select on town.events_low to tenantry_user',
      ),
    ],
    'tenantry_private.judge_view(oid)': [
      weakening(
        'views that read as their owner',
        /if not tenantry_private\.is_admin\(\) then/,
        'if false then',
        'create view town.window as select * from town.notes',
      ),
    ],
    'tenantry_private.watch(oid)': [
      weakening(
        'whether an admin weakens it',
        /if tenantry_private\.is_admin\(\) then/,
        'if true then',
        'alter table town.posts disable row level security',
      ),
    ],
    'tenantry_private.bear(regclass)': [
      {
        what: 'closing what nobody declares',
        from: /return query select \* from tenantry_private\.closing_statements\(target\);/,
        to: '',
        by: 'outsider',
        first: [manage, 'create table town.born (id int, whose uuid)'],
        ask: `select relrowsecurity from pg_class where oid = 'town.born'::regclass`,
        held: /^\[\[true\]\]/,
      },
      {
        what: 'protecting what has the owner’s column',
        from: /declaration := tenantry_private\.birth_declaration\(target\);/,
        to: '',
        by: 'outsider',
        first: [manage, 'create table town.born (id int, owner_id uuid)'],
        ask: `select relforcerowsecurity from pg_class where oid = 'town.born'::regclass`,
        held: /^\[\[true\]\]/,
      },
      {
        what: 'closing what is below a protected table',
        from: /return query select unnest\(statements\);/,
        to: '',
        by: 'outsider',
        first: [
          manage,
          `create table town.born partition of town.events for values from (5000) to (6000)`,
        ],
        ask: `select relrowsecurity from pg_class where oid = 'town.born'::regclass`,
        held: /^\[\[true\]\]/,
      },
    ],
    'tenantry_private.is_allowed(text)': [
      {
        what: 'whether the login is listed here',
        from: /a\.role_name = SESSION_USER/i,
        to: 'true',
        by: 'outsider',
        ask: `select tenantry.register_entity('${bob.entity}')`,
        held: /^42501/,
      },
    ],
  }
}
