/** One way of doing the same thing; every call is timed. */
export interface Variant {
  readonly name: string
  readonly run: () => Promise<unknown>
}

export interface Sample {
  readonly name: string
  /** Microseconds. */
  readonly median: number
  readonly p90: number
  readonly calls: number
}

/**
 * Times variants in one run, in an order that is shuffled every round, so that whatever else the
 * machine does meets all of them alike.
 *
 * @param rounds how often each variant is called; a tenth as many calls go before, unmeasured
 */
export async function interleave(
  variants: readonly Variant[],
  rounds: number,
  onRound: (done: number, total: number) => void = () => undefined,
): Promise<Sample[]> {
  const warmUp = Math.max(5, Math.ceil(rounds / 10))
  const times = variants.map(() => new Float64Array(rounds))
  const order = variants.map((_, index) => index)
  for (let round = -warmUp; round < rounds; round += 1) {
    shuffle(order)
    for (const index of order) {
      const start = process.hrtime.bigint()
      await variants[index]?.run()
      const took = Number(process.hrtime.bigint() - start) / 1000
      const row = times[index]
      if (row && round >= 0) row[round] = took
    }
    onRound(Math.max(0, round + 1), rounds)
  }
  return variants.map(({ name }, index) => {
    const sorted = (times[index] ?? new Float64Array()).sort()
    return { name, median: at(sorted, 0.5), p90: at(sorted, 0.9), calls: rounds }
  })
}

function at(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

// Not for secrets: which order a round has is all that hangs on it.
function shuffle(order: number[]): void {
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1))
    const kept = order[last] ?? 0
    order[last] = order[other] ?? 0
    order[other] = kept
  }
}
