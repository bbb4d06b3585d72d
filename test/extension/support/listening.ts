/** Every setting by which an ordinary user makes the server show what functions work with. */
export const chatty = `
  set client_min_messages = debug5;
  set debug_print_parse = on; set debug_print_rewritten = on; set debug_print_plan = on; set debug_pretty_print = off;
  set plpgsql.print_strict_params = on; set plpgsql.extra_warnings = 'all'; set plpgsql.extra_errors = 'none'; set log_parameter_max_length_on_error = -1;
  set bytea_output = 'hex'; set standard_conforming_strings = off; set escape_string_warning = on`

/** The ways in which PostgreSQL, or a person, writes bytes; half a key is a leak as well. */
export function spellings(key: Buffer): string[] {
  return [key.subarray(0, 16), key.subarray(16)].flatMap((half) => [
    half.toString('hex'),
    half.toString('base64').slice(0, 20),
    half.toString('base64url').slice(0, 20),
    [...half].map((byte) => (byte > 127 ? byte - 256 : byte)).join(' '),
    [...half].join(' '),
    [...half].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''),
    [...half]
      .map((byte) =>
        byte < 32 || byte > 126
          ? `\\${byte.toString(8).padStart(3, '0')}`
          : String.fromCharCode(byte),
      )
      .join(''),
  ])
}

/** Which spellings of keys are in what was heard. */
export function leaked(heard: readonly string[], keys: readonly Buffer[]): string[] {
  // Trees are printed in indented lines of 78 characters, which must not hide what crosses a line's end.
  const everything = heard
    .join('\n')
    .replaceAll(/\s*\\n(?:\s|\\t)*/g, ' ')
    .replaceAll('\\\\', '\\')
  return keys.flatMap(spellings).filter((spelling) => everything.includes(spelling))
}
