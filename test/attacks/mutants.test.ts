import { everyMutantIsFound } from './support/mutants.js'
import { failures } from './support/probes.js'
import { town } from './support/town.js'
import { mutants } from './support/mutants-list.js'

everyMutantIsFound({ mutants, failures, open: () => town(), most: 12 })
