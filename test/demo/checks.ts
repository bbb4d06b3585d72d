/** What the demo claims, and whether it held. */
export class Checks {
  readonly #failed: string[] = []
  #held = 0

  /** Notes a claim; returns it as a cell. */
  holds(claim: string, held: boolean): string {
    if (held) this.#held += 1
    else this.#failed.push(claim)
    return held ? 'ok' : 'NO'
  }

  get summary(): string {
    return this.#failed.length === 0
      ? `All ${String(this.#held)} checks held.`
      : `${String(this.#failed.length)} of ${String(this.#held + this.#failed.length)} checks did not hold:\n  ${this.#failed.join('\n  ')}`
  }

  get allHeld(): boolean {
    return this.#failed.length === 0 && this.#held > 0
  }
}
