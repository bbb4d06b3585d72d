/** Quotes an SQL identifier, always: no word is reserved and no case is lost. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
