import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { attack, control } from './support/attack.js'
import { type Town, alice, bob, enter, ids, town } from './support/town.js'

describe('code of a table’s owner while secrets are sealed anew', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-attack-'))
  const share = Buffer.alloc(32, 9)
  let at: Town
  let thief: pg.Client
  beforeAll(async () => {
    at = await town()
    chmodSync(folder, 0o755)
    writeFileSync(join(folder, 'share'), share.toString('hex'))
    const role = await at.db.role('thief', { ordinary: false })
    await at.db.admin.query(`create schema thief authorization "${role.name}"`)
    thief = await role.connect()
    await at.db.admin.query('set role attacks_owner')
    await at.db.admin.query(
      'create table town.vault (id bigint primary key, owner_id uuid not null, token text); reset role',
    )
    await thief.query(
      'create table thief.diary (id bigint primary key, owner_id uuid not null, page text)',
    )
    await at.db.admin.query(`select tenantry.set_key_provider('file', '${join(folder, 'share')}')`)
    await at.db.admin.query('select tenantry.create_master_key($1)', [share])
    await at.db.admin.query(`
      select tenantry.protect('town.vault', 'owner_id', 'user');
      select tenantry.encrypt_column('town.vault', 'token');
      select tenantry.protect('thief.diary', 'owner_id', 'user');
      select tenantry.encrypt_column('thief.diary', 'page')`)
    const write = async (who: string, sql: string): Promise<void> => {
      const client = await at.connect()
      await client.query('begin')
      await enter(client, at.credential(who))
      await client.query(sql)
      await client.query('commit')
    }
    await write(bob.entity, `insert into town.vault (id, token) values (3, 'of bob: 4711')`)
    await write(alice.entity, `insert into thief.diary (id, page) values (1, 'dear diary')`)
  })
  afterAll(async () => {
    await at.drop()
    rmSync(folder, { recursive: true })
  })

  attack('what others have sealed opened by code of a table’s owner', async () => {
    // What the thief has: the sealed value, as every dump has it, and a table of their own.
    const [sealed] = await ids(at.db.admin, 'select token from town.vault')
    const [column] = await ids(
      at.db.admin,
      `select column_id from tenantry.encrypted_columns where table_name = 'vault'`,
    )
    // By number: the engine may not use the schema, so that no name would get as far as the guard.
    const [vault] = await ids(at.db.admin, `select 'town.vault'::regclass::oid`)
    const opening = `select (tenantry_private.convert_values('${column}', 'open', null, array['${sealed}'], array[null]::text[],
      array['${bob.entity}'], array[int4send(1) || tenantry_private.part(int8send(3))])).given[1]`
    await thief.query(`create table thief.loot (said text); grant insert on thief.loot to public; grant usage on schema thief to public;
      create function thief.strike() returns boolean language plpgsql as $strike$
        declare said text;
        begin
          if current_user = 'tenantry_engine' then
            begin
              perform tenantry_private.keep_job_place(${vault}::regclass, 'open ${column}', null, 0);
              said := 'place of no job';
            exception when others then said := 'place ' || sqlstate;
            end;
            insert into thief.loot values (said);
            begin
              ${opening} into said;
            exception when others then said := 'open ' || sqlstate;
            end;
            insert into thief.loot values (said);
            begin
              perform tenantry_private.record_job(${vault}::regclass, 'open ${column}');
            exception when others then said := 'record ' || sqlstate;
            end;
            insert into thief.loot values (said);
          end if;
          return true;
        end $strike$;
      alter table thief.diary add check (thief.strike()) not valid`)
    await at.db.admin.query('call tenantry.rotate_data_keys()')
    expect(await ids(thief, 'select distinct said from thief.loot order by 1')).toEqual([
      'open TN011',
      'place of no job',
      'record 42501',
    ])
    // The control: where the column itself is being opened, it is what its batches do.
    await at.db.admin.query(
      `begin; select tenantry_private.record_job('town.vault', 'open ${column}')`,
    )
    const [now] = await ids(at.db.admin, 'select token from town.vault')
    control(await ids(at.db.admin, opening.replace(`${sealed}`, `${now}`))).toEqual([
      'of bob: 4711',
    ])
    await at.db.admin.query('rollback')
  })
})
