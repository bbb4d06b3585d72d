import pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { unwatched } from '../extension/support/stage.js'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, ids, state, town } from './support/town.js'

/** Ways to a relation with rows of others, as the owner of the schema's tables, who is no admin. */
const ways = {
  'create table': `create table town.NAME (id bigint, whose uuid, body text);
    insert into town.NAME select id, owner_id, body from town.open_notes`,
  'create table as':
    'create table town.NAME as select id, owner_id as whose, body from town.open_notes',
  'create table as, with its owner':
    'create table town.NAME as select id, owner_id, body from town.open_notes',
  'select into': 'select id, owner_id as whose, body into town.NAME from town.open_notes',
  'a partition': 'create table town.NAME partition of town.events for values from (5000) to (6000)',
  'an attached partition': `create table attic.NAME as select id + 7000 as id, owner_id, body from town.open_notes;
    alter table attic.NAME alter owner_id set not null, alter body set not null;
    grant select on attic.NAME to tenantry_user;
    alter table town.events attach partition attic.NAME for values from (7000) to (8000);
    alter table attic.NAME set schema town`,
  'an inheritance child': 'create table town.NAME () inherits (town.memos)',
  'a table that moves in': `create table attic.NAME as select id, owner_id as whose, body from town.open_notes;
    grant select on attic.NAME to tenantry_user; alter table attic.NAME set schema town`,
  'a materialized view':
    'create materialized view town.NAME as select id, body from town.open_notes',
  'a foreign table': `create foreign table town.NAME (body text) server files options (filename '/dev/null')`,
} as const

describe('what an owner makes or takes away, who is no admin', () => {
  let at: Town
  let owner: pg.Client
  beforeAll(async () => {
    at = await town()
    await at.db.admin.query(`
      select * from tenantry.manage_schema('town', owner_column => 'owner_id', owner_kind => 'user');
      select * from tenantry.sync();
      create extension file_fdw; create server files foreign data wrapper file_fdw;
      grant usage on foreign server files to attacks_owner; grant pg_read_server_files to attacks_owner;
      create schema attic authorization attacks_owner; grant usage on schema attic to tenantry_user;
      alter default privileges for role attacks_owner in schema town grant select on tables to tenantry_user`)
    owner = new pg.Client({ connectionString: at.db.url() })
    await owner.connect()
    await owner.query('set session authorization attacks_owner')
  })
  afterAll(async () => {
    await owner.end()
    await at.db.admin.query('revoke pg_read_server_files from attacks_owner')
    await at.drop()
  })

  /** What alice reads of bob's in a relation: nothing, rows, or a refusal. */
  const seen = (name: string): Promise<string> =>
    at.as(alice.entity, async (client) => {
      const found = ids(client, `select count(*) from town.${name} where body like 'of bob%'`)
      return found.then(
        ([count]) => `${count} rows`,
        (error: pg.DatabaseError) => error.code ?? '',
      )
    })

  for (const [way, sql] of Object.entries(ways)) {
    attack(`rows of others in what an owner makes, by ${way as keyof typeof ways}`, async () => {
      const kind = /materialized view|foreign table/.exec(sql)?.[0] ?? 'table'
      const put = (name: string): Promise<unknown> =>
        /partition of|inherits/.test(sql)
          ? at.db.admin.query(
              `insert into town.${name} (id, owner_id, body) values (5001, $1, 'of bob'), (5002, $1, 'of bob')`,
              [bob.id],
            )
          : Promise.resolve()
      // Of an attached partition its grants go, whatever else the message does.
      expect(await state(owner.query(sql.replaceAll('NAME', 'born')))).toBe('00000')
      await put('born')
      expect(await seen('born')).toMatch(/^(42501|0 rows)$/)
      await owner.query(`drop ${kind} town.born`)
      // The control: where no event trigger looks on.
      await at.db.admin.query(
        unwatched(
          `set session authorization attacks_owner; ${sql.replaceAll('NAME', 'unseen')}; reset session authorization`,
        ),
      )
      await put('unseen')
      control(await seen('unseen')).toBe(way === 'a foreign table' ? '0 rows' : '2 rows')
      await at.db.admin.query(`drop ${kind} town.unseen`)
    })
  }

  attack('an owner who takes the protection away', async () => {
    for (const statement of [
      'alter table town.notes disable row level security',
      'alter table town.notes no force row level security',
      'alter table town.events_low disable row level security',
      'drop policy tenantry_select on town.notes',
      'drop policy tenantry_select_floor on town.notes',
      'alter policy tenantry_select on town.notes using (true)',
      'alter policy tenantry_select_floor on town.notes rename to mine',
      'create policy mine on town.notes using (true)',
      'create policy mine on town.events_low using (true)',
      'alter trigger tenantry_owner_kept on town.notes rename to mine',
      'create or replace trigger tenantry_owner_kept after update on town.notes for each row execute function suppress_redundant_updates_trigger()',
      'alter table town.events_low disable trigger tenantry_owner_kept',
      'create rule mine as on update to town.notes do also select * from town.notes',
      "do E'begin grant references \\x28id\\x29 on town.notes to tenantry_user; end'",
      'alter table town.comments disable trigger tenantry_references_insert',
      'grant truncate on town.notes to tenantry_user',
      'grant select on town.events_low to tenantry_user',
      'create view town.window as select * from town.notes',
    ]) {
      expect(await state(owner.query(statement)), statement).toBe('42501')
    }
    await at.as(alice.entity, async (client) => expect(await ids(client)).toEqual(alice.notes))
    expect(await ids(at.db.admin, 'select code from tenantry.check()')).toEqual([])
    // The control: where no event trigger looks on.
    const open = 'alter table town.notes disable row level security'
    await at.db.admin.query(
      unwatched(`set session authorization attacks_owner; ${open}; reset session authorization`),
    )
    await at.as(alice.entity, async (client) => control(await ids(client)).toHaveLength(5))
  })
})
