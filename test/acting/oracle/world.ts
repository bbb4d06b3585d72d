import {
  declaredRoles,
  kindOf,
  privileges,
  type Born,
  type Giving,
  type Joining,
  type Kind,
  type Name,
  type Privilege,
  type Role,
} from './terms.js'

/** Rules that can be broken on purpose, to see that the comparison notices. */
export interface Rules {
  /** A delegation that has expired leaves nothing. */
  readonly expiry: boolean
  /** A chain leaves what all its links leave, not what any of them leaves. */
  readonly intersection: boolean
  /** A delegation is the last step of a walk. */
  readonly delegationEnds: boolean
  /** What an earlier life was given is not given to the next one. */
  readonly newLives: boolean
  /** What is passed on ends with what it was passed on from. */
  readonly endsBelow: boolean
  /** A context by delegation alone reaches its principal and nothing behind. */
  readonly principalAlone: boolean
  /** A delegation for some tables is none for the others. */
  readonly narrowed: boolean
}

export const allRules: Rules = {
  expiry: true,
  intersection: true,
  delegationEnds: true,
  newLives: true,
  endsBelow: true,
  principalAlone: true,
  narrowed: true,
}

interface Being {
  readonly acts: boolean
  readonly serves: readonly Kind[]
  owner: Name | null
  gone: boolean
  life: number
}

interface Membership extends Joining {
  /** Who became a member in which life; a row of participants names a user and an agent. */
  readonly members: readonly { readonly name: Name; readonly life: number }[]
  readonly containerLife: number
  left: boolean
}

interface Delegation extends Giving {
  readonly giver: Name
  readonly forEntity: Name
  readonly toLife: number
  readonly forLife: number
  /** The number of the delegation that this one passes on. */
  readonly parent: number | null
  revoked: boolean
  expired: boolean
}

/** What `from` may do for `to`. */
export interface Link {
  readonly to: Name
  readonly leaves: readonly Privilege[]
}

export function leftBy(role: Role): readonly Privilege[] {
  return role === 'guest' ? [] : declaredRoles[role]
}

/** Who there is, who is a member of what, and who was given what, as things happen. */
export class World {
  readonly beings = new Map<Name, Being>()
  readonly memberships: Membership[] = []
  /** In the order of the calls; null where a call gave nothing. */
  readonly delegations: (Delegation | null)[] = []
  /** In which life a bot was made a service: its first. */
  private readonly serviceLife = 1

  constructor(
    born: readonly Born[],
    readonly rules: Rules = allRules,
  ) {
    for (const { name, owner, acts, serves } of born) {
      this.beings.set(name, { owner, acts, serves, gone: false, life: 1 })
    }
    this.beings.set('anonymous:anonymous', {
      owner: null,
      acts: false,
      serves: [],
      gone: false,
      life: 1,
    })
  }

  exists(name: Name): boolean {
    return this.beings.get(name)?.gone === false
  }

  join(joining: Joining): void {
    const { table, member, container } = joining
    const twin: Name = `agent:${Number(member.slice(member.indexOf(':') + 1))}`
    const names = table === 'participants' ? [member, twin] : [member]
    const members = names.map((name) => ({ name, life: this.livingNow(name) }))
    const containerLife = this.livingNow(container)
    this.memberships.push({ ...joining, members, containerLife, left: false })
  }

  /** Records a delegation that was given; whether it could be is asked of model.ts before. */
  give(giving: Giving, giver: Name, forEntity: Name, parent: number | null): void {
    const [toLife, forLife] = [this.livingNow(giving.to), this.livingNow(forEntity)]
    const above = parent === null ? null : (this.delegations[parent] ?? null)
    const hours = giving.hours ?? above?.hours ?? null
    const tables = giving.tables ?? above?.tables ?? null
    const news = { ...giving, giver, hours, tables, forEntity, toLife, forLife, parent }
    this.delegations.push({ ...news, revoked: false, expired: false })
  }

  /** A delegation's own number and those of everything passed on from it. */
  under(number: number): number[] {
    const found = [number]
    this.delegations.forEach((one, i) => {
      if (one?.parent != null && found.includes(one.parent)) found.push(i)
    })
    return found
  }

  leave(nth: number): void {
    const one = this.memberships[nth]
    if (one !== undefined) one.left = true
  }

  end(nth: number, how: 'revoke' | 'expire'): void {
    const one = this.delegations[nth]
    if (one == null) return
    if (how === 'revoke') one.revoked = true
    else one.expired = true
  }

  delete(name: Name): void {
    const being = this.beings.get(name)
    if (being !== undefined) being.gone = true
  }

  again(name: Name): void {
    const being = this.beings.get(name)
    if (being === undefined) return
    being.gone = false
    being.life++
  }

  own(name: Name, owner: Name): void {
    const being = this.beings.get(name)
    if (being !== undefined) being.owner = owner
  }

  holds(delegation: Delegation): boolean {
    const { revoked, expired, to, toLife, forEntity, forLife, parent } = delegation
    if (revoked || (expired && this.rules.expiry)) return false
    if (!this.lives(to, toLife) || !this.lives(forEntity, forLife)) return false
    if (parent === null || !this.rules.endsBelow) return true
    const above = this.delegations[parent]
    return above != null && this.holds(above)
  }

  /** Ownership, acting and membership: the links that count everywhere. */
  properLinks(from: Name): Link[] {
    const links: Link[] = []
    const being = this.beings.get(from)
    if (being === undefined || being.gone) return links
    for (const [name, other] of this.beings) {
      if (other.owner === from && !other.gone) links.push({ to: name, leaves: privileges })
    }
    if (being.acts && being.owner !== null && this.exists(being.owner)) {
      const leaves = privileges.filter((privilege) => privilege !== 'delegate')
      links.push({ to: being.owner, leaves })
    }
    for (const one of this.memberships) {
      if (one.left || !this.lives(one.container, one.containerLife)) continue
      if (one.members.some(({ name, life }) => name === from && this.lives(name, life))) {
        links.push({ to: one.container, leaves: leftBy(one.role) })
      }
    }
    return links
  }

  serviceLinks(from: Name): Link[] {
    const being = this.beings.get(from)
    if (being === undefined || !this.lives(from, this.serviceLife)) return []
    const leaves = ['select', 'insert', 'update', 'delete'] as const
    return [...this.beings].flatMap(([name, other]) =>
      !other.gone && being.serves.some((kind) => kind === kindOf(name))
        ? [{ to: name, leaves }]
        : [],
    )
  }

  /** Delegations that `from` holds. */
  given(from: Name): Delegation[] {
    return this.delegations.filter(
      (one) => one !== null && one.to === from && this.holds(one),
    ) as Delegation[]
  }

  private lives(name: Name, life: number): boolean {
    const being = this.beings.get(name)
    if (being === undefined || being.gone || life === 0) return false
    return being.life === life || !this.rules.newLives
  }

  private livingNow(name: Name): number {
    const being = this.beings.get(name)
    return being === undefined || being.gone ? 0 : being.life
  }
}
