import {
  kindOf,
  numberOf,
  type Giving,
  type Joining,
  type MemberTable,
  type Name,
  type Row,
} from './terms.js'

/** Gives the names of one graph ids that no other graph of the database has. */
export class Statements {
  constructor(private readonly graph: number) {}

  /** The id that the tables hold. A user, an agent and a room with the same number share one. */
  id(name: Name): string {
    const number = numberOf(name)
    switch (kindOf(name)) {
      case 'anonymous':
        return 'anonymous'
      case 'org':
        return String(this.graph * 10 + number)
      case 'bot':
        return `${this.graph}-${number}`
      default:
        return `${this.graph.toString().padStart(8, '0')}-0000-4000-8000-00000000000${number}`
    }
  }

  entity(name: Name): `${string}:${string}` {
    return `${kindOf(name)}:${this.id(name)}`
  }

  born(name: Name, owner: Name | null, acts: boolean): string {
    const kind = kindOf(name)
    const ownedBy = owner === null ? 'null' : `'${this.id(owner)}'`
    if (kind === 'bot') {
      const registered = owner === null ? 'null' : `'${this.entity(owner)}'`
      return `select tenantry.register_entity('${this.entity(name)}', ${registered}, ${acts})`
    }
    if (kind === 'agent' || kind === 'room') {
      return `insert into ${kind}s values ('${this.id(name)}', ${ownedBy})`
    }
    return `insert into ${kind}s values ('${this.id(name)}')`
  }

  gone(name: Name): string {
    const kind = kindOf(name)
    return kind === 'bot'
      ? `select tenantry.unregister_entity('${this.entity(name)}')`
      : `delete from ${kind}s where id = '${this.id(name)}'`
  }

  own(name: Name, owner: Name): string {
    return `update ${kindOf(name)}s set owner_id = '${this.id(owner)}' where id = '${this.id(name)}'`
  }

  join(id: number, { table, member, container, role }: Joining): string {
    const [to, who] = [this.id(container), this.id(member)]
    return table === 'channels'
      ? `insert into channels values (${id}, '${to}', '${this.settings(member, role)}')`
      : `insert into ${table} values (${id}, '${to}', '${who}', '${role}')`
  }

  changeRole(id: number, { table, member }: Joining, role: string): string {
    const change =
      table === 'channels' ? `settings = '${this.settings(member, role)}'` : `role = '${role}'`
    return `update ${table} set ${change} where id = ${id}`
  }

  move(id: number, table: MemberTable, container: Name): string {
    const column = table.startsWith('org') ? 'org_id' : 'room_id'
    return `update ${table} set ${column} = '${this.id(container)}' where id = ${id}`
  }

  leave(id: number, table: MemberTable): string {
    return `delete from ${table} where id = ${id}`
  }

  /** A row of memories that claims that somebody else inserted it. */
  lie(relation: string, id: number, { owner, room, isPublic }: Row): string {
    return `insert into ${relation} (id, owner_id, room_id, is_public, created_by)
      values (${id}, '${this.id(owner)}', ${this.idOrNull(room)}, ${isPublic}, 'user:liar') returning created_by`
  }

  row(relation: string, id: number, { table, owner, room, isPublic }: Row): string {
    if (table !== 'memories') {
      const column = table === 'ledgers' ? 'org_id' : 'owner_id'
      return `insert into ${relation} (id, ${column}, body) values (${id}, '${this.id(owner)}', 'x')`
    }
    return `insert into ${relation} (id, owner_id, room_id, is_public, body)
      values (${id}, '${this.id(owner)}', ${this.idOrNull(room)}, ${isPublic}, 'x')`
  }

  idOrNull(name: Name | null): string {
    return name === null ? 'null' : `'${this.id(name)}'`
  }

  delegate({ to, privileges, forEntity, tables, redelegate, hours }: Giving): string {
    const expiry = hours === null ? 'null' : `'2099-01-01 0${hours}:00Z'`
    const names =
      tables === null ? 'null' : `array[${tables.map((t) => `'${t}'`).join()}]::regclass[]`
    return `select tenantry.delegate('${this.entity(to)}', '{${privileges.join()}}',
      ${forEntity === null ? 'null' : `'${this.entity(forEntity)}'`}, ${expiry}, ${names}, ${redelegate})::text`
  }

  private settings(member: Name, role: string): string {
    return JSON.stringify({ roles: { [this.id(member)]: role } })
  }
}
