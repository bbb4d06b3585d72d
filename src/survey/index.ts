export type { Survey, Proposal, Kind, TableClass } from './model.js'
export { survey, type SurveyOptions } from './survey.js'
export { render, summary, undecidedMark } from './render.js'
export { counted } from './names.js'
