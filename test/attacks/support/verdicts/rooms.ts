import { type Verdict, closed, login } from './verdict.js'

/** Who is in a room, and what a member may do in it. */
export const rooms = {
  'joining a room by writing a row of its members, by insert': closed(
    login,
    'who adds a member holds delegate on the room, asked by a trigger',
  ),
  'joining a room by writing a row of its members, by update': closed(
    login,
    'who adds a member holds delegate on the room, asked by a trigger',
  ),
  'joining a room by writing a row of its members, by upsert': closed(
    login,
    'who adds a member holds delegate on the room, asked by a trigger',
  ),
  'joining a room, or rising in it, by a trigger of the application that writes the row': closed(
    'a member who may update',
    'members are asked for and followed by what the row has become',
  ),
  'a row of members moved to another room': closed(
    login,
    'the new room is asked for like a new row’s',
  ),
  'a member who raises their own role': closed(login, 'a new role is asked for like a new row'),
  'a member who makes others more than they are themselves': closed(
    'a member with delegate',
    'no role leaves more than who gives it holds',
  ),
  'a role that nobody declared': closed(login, 'it leaves nothing'),
  'the room or the member comes back under the same id': closed(
    'whoever may insert the row',
    'memberships are of one life of an id',
  ),
  'the triggers of memberships called, borrowed or gone around': closed(
    'the owner of a table',
    'EXECUTE is granted by name, and what is read comes from the registry',
  ),
  'putting a row into a room that one does not reach': closed(
    login,
    'rooms are asked for on both paths',
  ),
  'probing for a room by writing into it': closed(
    login,
    'one that is not seen is refused like one that does not exist',
  ),
  'a row of the room taken over by a member who may update it': closed(
    'a member who may update',
    'rows change hands by delegate on the old owner alone',
  ),
  'somebody else named as who wrote a row': closed(login, 'a trigger writes the actor'),
} as const satisfies Record<string, Verdict>
