// Exits with a plain message when Node.js is older than package.json asks for.
import { readFileSync } from 'node:fs'

const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const wanted = Number(/\d+/.exec(engines.node)[0])
if (Number.parseInt(process.versions.node) < wanted) {
  console.error(`Node.js ${wanted} or newer is needed; this is ${process.versions.node}.`)
  process.exit(1)
}
