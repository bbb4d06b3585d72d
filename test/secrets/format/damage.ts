/** The bytes with one bit flipped, for each of their bits. */
export function* flipped(value: Buffer): Generator<Buffer> {
  for (let bit = 0; bit < value.length * 8; bit += 1) {
    const changed = Buffer.from(value)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    yield changed
  }
}

/** The bytes without some at their end, and without some at their beginning. */
export function* truncated(value: Buffer): Generator<Buffer> {
  for (let gone = 1; gone <= value.length; gone += 1) {
    yield value.subarray(0, -gone)
    yield value.subarray(gone)
  }
}
