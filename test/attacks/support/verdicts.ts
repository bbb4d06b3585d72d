import { acting } from './verdicts/acting.js'
import { powers } from './verdicts/powers.js'
import { rooms } from './verdicts/rooms.js'
import { rows } from './verdicts/rows.js'
import { secrets } from './verdicts/secrets.js'
import { sessions } from './verdicts/sessions.js'
import type { Verdict } from './verdicts/verdict.js'

export type { Verdict }

/** The attacks that are tested in this folder, by the names of their tests. */
const here = { ...sessions, ...rows, ...rooms, ...acting, ...powers }

/** Every attack that is tested. */
export const verdicts = { ...here, ...secrets } satisfies Record<string, Verdict>

export type TestedHere = keyof typeof here
export type AttackName = keyof typeof verdicts
