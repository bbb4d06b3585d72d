import type { Mutant } from './mutants.js'

const acting = (routine: string, from: string | RegExp, to: string): Mutant => ({
  routine: routine.includes('.') ? routine : `tenantry_private.${routine}`,
  from,
  to,
})
/** Both policies of the reach path for a command, the permissive one and its floor. */
const reachPolicy = (command: string, body: string): string =>
  ['', '_floor']
    .map((end) => `alter policy tenantry_reach_${command}${end} on town.posts ${body}`)
    .join(';')

export const actingMutants: Record<string, Mutant> = {
  'the expiry of delegations ignored': acting(
    'in_force',
    /\(\(delegation\)\.expires_at > statement_timestamp\(\)\)/,
    'true',
  ),
  'the end of a delegation not kept': acting(
    'link_ends',
    'select min(d.expires_at)',
    'select null::timestamptz',
  ),
  'the end of a delegation not kept on the way in': acting(
    'tenantry.enter(text)',
    'if bits between 1 and 63 then',
    'if bits > 0 then',
  ),
  'revocation ignored': acting('in_force', /\(\(delegation\)\.revoked_at IS NULL\)/, 'true'),
  'the end of those who passed on ignored': acting('givers_live', 'return false;', 'return true;'),
  'the number of steps ignored': acting(
    'tenantry.delegate',
    'if redelegate >= source.redelegate then',
    'if false then',
  ),
  'passing on without redelegate': acting('passable', 'and d.redelegate >= 1', ''),
  'more privileges passed on than held': acting(
    'tenantry.delegate',
    /if bits & ~strong <> 0 then\n\s+raise/,
    'if false then raise',
  ),
  'longer than held': acting(
    'tenantry.delegate',
    'if expires_at > source.expires_at then',
    'if false then',
  ),
  'for ever, where nothing is said': acting(
    'tenantry.delegate',
    'expires_at := coalesce(expires_at, source.expires_at);',
    '',
  ),
  'more tables than held': acting(
    'tenantry.delegate',
    'if source.tables is not null and not tables <@ source.tables then',
    'if false then',
  ),
  'all tables, where nothing is said': acting(
    'tenantry.delegate',
    'tables := coalesce(tables, source.tables);',
    '',
  ),
  'tables ignored on the reach path': acting(
    'reached',
    'and (d.tables is null or target = any (d.tables))',
    '',
  ),
  'tables ignored in acting': acting('link_privileges', 'and d.tables is null and', 'and'),
  'what is lent not marked': acting(
    'chain_privileges',
    'return bits | ((delegated & bits) << 6);',
    'return bits;',
  ),
  'what is lent lent on': acting('chain_privileges', 'direct := direct & ~(direct >> 6);', 'null;'),
  'privileges of a chain united': acting(
    'chain_privileges',
    'bits := bits & direct;',
    'bits := case when direct = 0 then 0 else bits | direct end;',
  ),
  'privileges of delegations ignored on the reach path': acting(
    'reached',
    'and d.bits & mask <> 0',
    '',
  ),
  'the receiver’s life ignored': acting('reached', ' and d.to_serial = t.serial', ''),
  'a member’s life ignored': acting('links_of', /\(NOT m\.void\)/, 'true'),
  'the triggers of members dropped': 'drop trigger "Asks_tenantry_membership" on town.members',
  'the triggers of members switched off':
    'alter table town.members disable trigger "Asks_tenantry_membership"',
  'members followed, and not asked for': acting(
    'follow_membership',
    'elsif item.change > 0 then',
    'elsif false then',
  ),
  'delegate not asked of who adds members': acting(
    'require_container',
    'if held & 32 = 0 then',
    'if false then',
  ),
  'a new member’s role not asked for': acting(
    'require_container',
    'if bits & ~held <> 0 then',
    'if false then',
  ),
  'members by update not asked for': `create or replace trigger "Asks_tenantry_membership" after insert or delete on town.members
    for each row execute function tenantry_private.follow_membership();
    alter table town.members enable always trigger "Asks_tenantry_membership"`,
  'what is lent held as one’s own': acting(
    'held',
    ` and strpos(context[4], ',=' || privilege || ',') = 0`,
    '',
  ),
  'delegate not asked of the context': acting(
    'tenantry.delegate',
    `if strpos(context[4], ',delegate,') = 0 then`,
    'if false then',
  ),
  'delegate not asked on the data': acting(
    'tenantry.delegate',
    'if source.id is null and strong & 32 = 0 then',
    'if false then',
  ),
  'giving to oneself': acting(
    'tenantry.delegate',
    'if to_entity in (target, context[5], context[6]) then',
    'if false then',
  ),
  'giving to everybody': acting(
    'tenantry.delegate',
    `if tenantry_private.kind_of(to_entity) = 'anonymous' then`,
    'if false then',
  ),
  'anybody revokes': acting(
    'tenantry.revoke',
    'continue when not (admin or tenantry_private.may_revoke(context, item));',
    '',
  ),
  'anybody impersonates': acting(
    'tenantry.impersonate',
    /if not tenantry_private\.is_allowed\('support'\)[^;]*? then/,
    'if false then',
  ),
  'anybody breaks the glass': acting(
    'tenantry.break_glass',
    `if not tenantry_private.is_allowed('maintenance') then`,
    'if false then',
  ),
  'the application granted across tenants': acting(
    'tenantry.grant_across',
    'if role.application or role.internal then',
    'if false then',
  ),
  'granted across tenants without a reason': acting(
    'require_reason',
    /if reason is null[^;]*? then/,
    'if false then',
  ),
  'USING true for reading': reachPolicy('select', 'using (true)'),
  'USING true for updating': reachPolicy('update', 'using (true)'),
  'USING true for deleting': reachPolicy('delete', 'using (true)'),
  'WITH CHECK true on insert': reachPolicy('insert', 'with check (true)'),
  'WITH CHECK true on update':
    reachPolicy('update', 'with check (true)') + ';' + reachPolicy('select', 'using (true)'),
  'a superuser owns the reach view': 'alter view reach.posts owner to postgres',
  'owners not kept': 'drop trigger tenantry_owner_kept on town.posts',
  'who wrote a row not recorded': 'drop trigger tenantry_actor on town.posts',
  'rooms not asked for on the own path': 'drop trigger tenantry_references_insert on town.posts',
  'nobody in particular may do everything': [
    { routine: 'tenantry_private.own_privileges', from: /'anonymous:'/, to: `'nobody:'` },
    { routine: 'tenantry_private.chain_privileges', from: /'anonymous:'/, to: `'nobody:'` },
  ],
  'the chain not compared in one transaction': acting(
    'settle',
    '(field[4], field[5], field[6]) <> (admission[1], admission[2], admission[3])',
    '(field[5], field[6]) <> (admission[2], admission[3])',
  ),
}
