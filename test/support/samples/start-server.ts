// Starts a server, says where, and then ends in the way that it is told to.
import { startServer, type Major } from '../servers.js'

const [major, ending] = process.argv.slice(2)
const server = await startServer({
  major: Number(major) as Major,
  sources: ['embedded', 'machine'],
  storage: 'memory',
})
const stopWith = ending === 'keep' ? server.keep() : null
console.log(JSON.stringify({ url: server.url, logFile: server.logFile, stopWith }))
if (ending === 'wait') setInterval(() => undefined, 1000)
