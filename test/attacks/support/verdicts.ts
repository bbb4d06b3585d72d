import { acting } from './verdicts/acting.js'
import { powers } from './verdicts/powers.js'
import { rooms } from './verdicts/rooms.js'
import { rows } from './verdicts/rows.js'
import { sessions } from './verdicts/sessions.js'

export type { Verdict } from './verdicts/verdict.js'

/** Every attack that is tested, by the name of its test. */
export const verdicts = { ...sessions, ...rows, ...rooms, ...acting, ...powers }

export type AttackName = keyof typeof verdicts
