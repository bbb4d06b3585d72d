import { unwatched } from '../stage.js'

export interface Damage {
  readonly name: string
  /** `app` and `owner` stand for the roles. */
  readonly done: string
  /** The codes that check() reports, in its order. */
  readonly found: readonly string[]
}

/** What sync() mends; sync.test.ts runs them. */
export const damages: readonly Damage[] = [
  {
    name: 'a policy is dropped',
    done: 'drop policy tenantry_select on notes',
    found: ['policy_missing'],
  },
  {
    name: 'a floor is dropped',
    done: 'drop policy tenantry_update_floor on notes',
    found: ['policy_missing'],
  },
  {
    name: 'a policy is opened',
    done: 'alter policy tenantry_select on notes using (true)',
    found: ['policy_changed'],
  },
  {
    name: 'a check is opened',
    done: 'alter policy tenantry_insert_floor on notes with check (true)',
    found: ['policy_changed'],
  },
  {
    name: 'a policy is given to everybody',
    done: 'alter policy tenantry_delete on notes to public',
    found: ['policy_changed'],
  },
  {
    name: 'a policy is made anew for another command',
    done: 'drop policy tenantry_select on notes; create policy tenantry_select on notes for all to tenantry_user using (true)',
    found: ['policy_changed'],
  },
  {
    name: 'a policy of a name like ours is added',
    done: 'create policy tenantry_extra on notes to tenantry_user using (true)',
    found: ['policy_changed'],
  },
  {
    name: 'all policies are gone',
    done: `do $$declare p name; begin for p in select polname from pg_policy where polrelid = 'notes'::regclass loop execute format('drop policy %I on notes', p); end loop; end$$`,
    found: ['policy_missing'],
  },
  {
    name: 'row security is off',
    done: 'alter table notes disable row level security',
    found: ['row_security_off'],
  },
  {
    name: 'FORCE is off',
    done: 'alter table notes no force row level security',
    found: ['row_security_not_forced'],
  },
  {
    name: 'row security is off in a partition',
    done: unwatched(
      'alter table logs_1 disable row level security; alter table logs_rest no force row level security',
    ),
    found: ['row_security_not_forced', 'row_security_off'],
  },
  {
    name: 'a partition is attached',
    done: unwatched('create table logs_9 partition of logs for values in (9)'),
    found: ['row_security_not_forced', 'row_security_off'],
  },
  { name: 'everybody may read', done: 'grant select on notes to public', found: ['grant_excess'] },
  {
    name: 'the application may truncate',
    done: 'grant truncate on notes to app',
    found: ['grant_excess'],
  },
  {
    name: 'the group may make triggers',
    done: 'grant trigger, references on notes to tenantry_user',
    found: ['grant_excess'],
  },
  {
    name: 'the application may write what is shared',
    done: 'grant insert on countries to tenantry_user',
    found: ['grant_excess'],
  },
  {
    name: 'a grant is taken',
    done: 'revoke update on notes from tenantry_user',
    found: ['grant_missing'],
  },
  {
    name: 'a grant on a sequence is taken',
    done: 'revoke usage on sequence notes_id_seq from tenantry_user',
    found: ['grant_missing'],
  },
  {
    name: 'a shared table is closed',
    done: 'revoke select on countries from tenantry_user',
    found: ['grant_missing'],
  },
  {
    name: 'the default is dropped',
    done: 'alter table notes alter owner_id drop default',
    found: ['owner_default'],
  },
  {
    name: 'another default is set',
    done: 'alter table notes alter owner_id set default gen_random_uuid()',
    found: ['owner_default'],
  },
  {
    name: 'NOT NULL is dropped',
    done: 'alter table notes alter owner_id drop not null',
    found: ['owner_nullable'],
  },
  {
    name: 'the index is dropped',
    done: 'drop index notes_tenantry_owner_idx',
    found: ['owner_unindexed'],
  },
  {
    name: 'a reference trigger is dropped',
    done: 'drop trigger tenantry_references_update on notes',
    found: ['reference_unchecked'],
  },
  {
    name: 'the reference triggers are dropped',
    done: 'drop trigger tenantry_references_insert on notes; drop trigger tenantry_references_update on notes',
    found: ['reference_unchecked'],
  },
  {
    name: 'a reference trigger is off',
    done: 'alter table notes disable trigger tenantry_references_update',
    found: ['reference_unchecked'],
  },
  {
    name: 'a reference trigger has a condition',
    done: `do $$begin
      execute replace(replace((select pg_get_triggerdef(oid) from pg_trigger
                                where tgname = 'tenantry_references_update' and tgrelid = 'notes'::regclass),
                'FOR EACH STATEMENT', 'FOR EACH STATEMENT WHEN (false)'), 'CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER');
    end$$`,
    found: ['reference_unchecked'],
  },
  {
    name: 'the owner is not filled',
    done: 'drop trigger tenantry_owner_fill on tasks',
    found: ['owner_unfilled'],
  },
  {
    name: 'the composite key is dropped',
    done: 'alter table tasks drop constraint tasks_tenantry_owner_fkey',
    found: ['parent_untied'],
  },
  {
    name: `a kind's trigger is dropped`,
    done: 'drop trigger tenantry_kind on users',
    found: ['kind_unfollowed'],
  },
  {
    name: `a kind's triggers are off`,
    done: 'alter table users disable trigger tenantry_kind; alter table users enable trigger tenantry_kind_truncate',
    found: ['kind_unfollowed'],
  },
]
