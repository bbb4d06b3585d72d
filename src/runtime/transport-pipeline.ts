import { noteCommand } from './connection.js'
import { assertCommitted, barrier, contextSpec, plain, takeValue } from './transport-awaited.js'
import { wireValues } from './pg-internals.js'
import type { Outcome, Transport, TransportCall } from './transport.js'

/**
 * BEGIN, context, query and COMMIT fired together on a `pipeline: true` client: one round trip by
 * pg's public interface. Each statement has a Sync of its own, so an error does not stop the next
 * one. Three guards stand in for that: BEGIN is one of a few constant texts; every value is turned
 * into wire form before the first byte is sent; and the outcome is an error unless every step
 * succeeded, the COMMIT by its tag. What remains: when BEGIN itself is hit by a cancel, the query
 * does run, without a context, which shows and accepts no protected row.
 */
export const pipelineTransport: Transport = (call, outcome) => {
  if (call.opening) void runGroup(call, outcome)
  else void runAlone(call, outcome)
}

async function runAlone({ client, state, spec }: TransportCall, outcome: Outcome): Promise<void> {
  try {
    const result = await plain(client, spec)
    noteCommand(state, result.command, spec.text ?? '')
    outcome(undefined, result)
  } catch (error) {
    await barrier(client, error)
    outcome(error)
  }
}

async function runGroup(call: TransportCall, outcome: Outcome): Promise<void> {
  const { client, state, spec } = call
  const { context, begin } = call.opening!
  const values = wireValues(spec.values ?? [])

  const [opened, entered, answered, ended] = await Promise.allSettled([
    plain(client, { text: begin ?? 'begin' }),
    plain(client, contextSpec(context)),
    plain(client, { ...spec, values }),
    begin === undefined ? plain(client, { text: 'commit' }) : undefined,
  ])
  const failed = [opened, entered, answered, ended].find((step) => step.status === 'rejected')
  if (failed?.status === 'rejected') {
    // Every step has been answered, but the driver may not have read what follows the last error.
    await barrier(client, failed.reason)
    outcome(failed.reason, undefined, failed === opened || failed === entered)
    return
  }
  try {
    if (entered.status === 'fulfilled') takeValue(context, entered.value)
    if (ended.status === 'fulfilled' && ended.value) assertCommitted(ended.value)
    if (answered.status !== 'fulfilled') return
    noteCommand(state, answered.value.command, spec.text ?? '')
    outcome(undefined, answered.value)
  } catch (error) {
    outcome(error)
  }
}
