#!/usr/bin/env node
import { processIo } from './io.js'
import { main } from './program.js'

// Whoever reads may stop reading, such as head or a pager that was quit: no error, and nobody to tell.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })
}

const code = await main(process.argv.slice(2), processIo)
// A command may have set its own.
if (code !== 0) process.exitCode = code
