import { everyMutantIsFound } from './support/mutants.js'
import { actingFailures } from './support/probes-acting.js'
import { roomTown } from './support/rooms.js'
import { actingMutants } from './support/mutants-acting-list.js'

everyMutantIsFound({ mutants: actingMutants, failures: actingFailures, open: roomTown, most: 10 })
