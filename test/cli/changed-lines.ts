/** Lines a diff of the two texts would add and remove: what is not in their longest common part. */
export function changedLines(before: string, after: string): { added: number; removed: number } {
  const a = before.split('\n')
  const b = after.split('\n')
  let previous = new Array<number>(b.length + 1).fill(0)
  for (const line of a) {
    const current = [0]
    for (const [index, other] of b.entries()) {
      current.push(
        line === other
          ? (previous[index] ?? 0) + 1
          : Math.max(previous[index + 1] ?? 0, current[index] ?? 0),
      )
    }
    previous = current
  }
  const common = previous[b.length] ?? 0
  return { added: b.length - common, removed: a.length - common }
}
