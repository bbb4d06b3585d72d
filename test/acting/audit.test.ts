import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { share, secretStage, anna, type SecretStage } from '../secrets/support/stage.js'

let on: SecretStage
beforeAll(async () => {
  on = await secretStage()
})
afterAll(() => on.drop())

describe('the audit', () => {
  it('knows who set up, bound, exempted, encrypted, rotated and shredded', async () => {
    await on.setUp.query(`
      create table safe (id int primary key, owner_id uuid not null references users, token text);
      create table plain (id int);
      select tenantry.protect('safe');
      select tenantry.exempt('plain', 'nothing in it');
      select tenantry.unexempt('plain');
      select tenantry.encrypt_column('safe', 'token')`)
    const role = await on.db.role('person')
    await on.db.admin.query('select tenantry.bind_role($1, $2)', [role.name, anna])
    await on.db.admin.query('select tenantry.unbind_role($1)', [role.name])
    await on.db.admin.query("select tenantry.register_service($1, 'user')", [anna])
    await on.holding(anna, (c) =>
      c.query("insert into safe (id, token) values (1, 'SECRET-OF-ANNA')"),
    )
    await on.db.admin.query('call tenantry.rotate_data_keys($1)', [share])
    const next = Buffer.alloc(32, 0xcd)
    await on.db.admin.query('call tenantry.rotate_master_key($1, $2)', [share, next])
    await on.db.admin.query('select tenantry.finish_master_rotation($1)', [next])
    await on.db.admin.query("select * from tenantry.shred($1, 'asked for by Anna')", [anna])
    const { rows } = await on.db.admin.query<{ action: string; login: string; detail: object }>(
      'select action, login, detail from tenantry.audit',
    )
    const actions = new Set(rows.map(({ action }) => action))
    for (const action of [
      'allow',
      'register_issuer',
      'create_master_key',
      'protect',
      'exempt',
      'unprotect',
      'encrypt_column',
      'bind_role',
      'unbind_role',
      'register_service',
      'rotate_data_keys',
      'rotate_master_key',
      'finish_master_rotation',
      'shred',
    ])
      expect([action, actions.has(action)]).toEqual([action, true])
    expect(rows.find(({ action }) => action === 'shred')?.detail).toEqual({
      keys: 2,
      reason: 'asked for by Anna',
    })
    // and no key, share or secret
    const all = JSON.stringify(rows)
    for (const hidden of [share.toString('hex'), next.toString('hex'), 'SECRET-OF-ANNA'])
      expect(all).not.toContain(hidden)
  })

  it('puts the hash of each entry into the log as well', async () => {
    const client = await on.db.admin.connect()
    const heard: string[] = []
    client.on('notice', (notice) => heard.push(notice.message ?? ''))
    try {
      await client.query(
        "set client_min_messages = log; select tenantry.configure('context_lifetime', null)",
      )
      await client.query("select tenantry.register_service($1, 'user')", [anna])
      const { rows } = await client.query<{ id: string; hash: string }>(
        'select id, hash from tenantry.audit order by id desc limit 1',
      )
      expect(
        heard.some(
          (line) =>
            line.startsWith(`tenantry audit ${rows[0]?.id} register_service on ${anna}`) &&
            line.endsWith(rows[0]?.hash ?? '?'),
        ),
      ).toBe(true)
      const info = await client.query<{ problem: string }>(
        "select problem from tenantry.check('info') where code = 'audit_head'",
      )
      expect(info.rows[0]?.problem).toContain(rows[0]?.hash)
    } finally {
      client.release()
    }
  })

  it('is found broken by check(), with the entry that is not what it was', async () => {
    const client = await on.db.admin.connect()
    try {
      await client.query(`begin; alter table tenantry_private.audit_entries disable trigger keep_audit;
        update tenantry_private.audit_entries set detail = '{}' where id = 3`)
      const { rows } = await client.query(
        "select severity, code, problem from tenantry.check() where code like 'audit%'",
      )
      expect(rows).toMatchObject([
        {
          severity: 'critical',
          code: 'audit_broken',
          problem: expect.stringContaining('entry 3') as string,
        },
      ])
    } finally {
      await client.query('rollback')
      client.release()
    }
  })
})
