import { declaredRoles } from './terms.js'

const roles = JSON.stringify(declaredRoles)

/** The application's tables; run as their owner. No foreign keys: owners may go and rows stay. */
export const applicationTables = `
  create table public.users (id uuid primary key);
  create table public.orgs (id bigint primary key);
  create table public.agents (id uuid primary key, owner_id uuid);
  create table public.rooms (id uuid primary key, owner_id uuid);
  create table public.org_members (id int primary key, org_id bigint not null, user_id uuid not null, role text);
  create table public.org_parents (id int primary key, org_id bigint not null, member_id bigint not null, role text);
  create table public.participants (id int primary key, room_id text not null, entity_id text not null, role text);
  create table public.channels (id int primary key, room_id uuid not null, settings jsonb);
  create table public.notes (id int primary key, owner_id uuid not null, body text);
  create table public.ledgers (id int primary key, org_id bigint not null, body text);
  create table public.memories (
    id int primary key, owner_id uuid not null, room_id uuid, is_public boolean not null, created_by text, body text)`

/** What the application declares; run as a superuser. */
export const declarations = `
  select tenantry.register_kind('user', 'users');
  select tenantry.register_kind('org', 'orgs');
  select tenantry.register_kind('agent', 'agents', owner_column => 'owner_id', owner_kind => 'user', acts_for_owner => true);
  select tenantry.register_kind('room', 'rooms', owner_column => 'owner_id', owner_kind => 'user');
  select tenantry.register_membership('org_members', 'user_id', 'user', 'org_id', 'org', 'role', '${roles}');
  select tenantry.register_membership('org_parents', 'member_id', 'org', 'org_id', 'org', 'role', '${roles}');
  select tenantry.register_membership('participants', 'entity_id', 'user', 'room_id', 'room', 'role', '${roles}');
  select tenantry.register_membership('participants', 'entity_id', 'agent', 'room_id', 'room', 'role', '${roles}');
  select tenantry.register_membership('channels', null, 'user', 'room_id', 'room', 'settings', '${roles}', array['roles']);
  select tenantry.protect('notes', 'owner_id', 'user');
  select tenantry.protect('ledgers', 'org_id', 'org');
  select tenantry.protect('memories', 'owner_id', 'user',
    shared_by => '{"room_id": "room"}', public_when => 'is_public', actor_column => 'created_by');
  select tenantry.register_entity('anonymous:anonymous');
  grant select, insert, update, delete on org_members, org_parents, participants, channels to tenantry_user`

/**
 * Answers statements in one round trip, as the caller, and undoes each: what it returns, the number
 * of its rows, or its SQLSTATE.
 */
export const probe = `
  create function public.probe(statements text[]) returns text[] language plpgsql as $$
  declare
    answers text[] := '{}';
    answer  text;
    counted bigint;
  begin
    for position in 1 .. cardinality(statements) loop
      begin
        if statements[position] ~ '^select|returning' then
          execute statements[position] into answer;
        else
          execute statements[position];
          get diagnostics counted = row_count;
          answer := counted || ' rows';
        end if;
        raise exception using errcode = 'ZZ000';
      exception
        when sqlstate 'ZZ000' then null;
        when others then answer := sqlstate;
      end;
      answers := answers || coalesce(answer, '');
    end loop;
    return answers;
  end
  $$`

/** How entering with each of the credentials ends, in one round trip; none is left in effect. */
export const probeEnter = `
  create function public.probe_enter(credentials text[]) returns text[] language plpgsql as $$
  declare
    answers text[] := '{}';
    answer  text;
  begin
    for position in 1 .. cardinality(credentials) loop
      begin
        perform tenantry.enter(credentials[position]);
        answer := 'entered';
        raise exception using errcode = 'ZZ000';
      exception
        when sqlstate 'ZZ000' then null;
        when others then answer := sqlstate;
      end;
      answers := answers || answer;
    end loop;
    return answers;
  end
  $$`
