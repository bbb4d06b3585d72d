import Table from 'cli-table3'
import type { Verdict } from './report.js'
import type { Pair, SecretFigures } from './secrets.js'

/** The majors that secrets are measured on. */
export type Measured = 15 | 18

/** What holds on one major only; what is alike stands where it is used. Microseconds. */
const bars: Readonly<Record<Measured, { seal: number; open: number; row: number }>> = {
  15: { seal: 5, open: 7, row: 16 },
  18: { seal: 4, open: 4, row: 12 },
}

/** The table of one server, and a verdict for each figure that has a bar. */
export function reportSecrets(major: Measured, figures: SecretFigures): Verdict[] {
  const { primitives: one, list, point, pointPrepared, insert, search, backfill, rewrap } = figures
  const bar = bars[major]
  const lines: readonly Line[] = [
    {
      what: 'encrypt one value, keys given',
      measured: one.seal,
      beside: `pgp_sym_encrypt ${micros(one.pgpSeal)}`,
      most: bar.seal,
    },
    {
      what: '… times faster than pgp_sym_encrypt',
      measured: one.pgpSeal / one.seal,
      unit: '×',
      least: 30,
    },
    {
      what: 'decrypt one value, keys given',
      measured: one.open,
      beside: `pgp_sym_decrypt ${micros(one.pgpOpen)}`,
      most: bar.open,
    },
    {
      what: '… times faster than pgp_sym_decrypt',
      measured: one.pgpOpen / one.open,
      unit: '×',
      least: 30,
    },
    {
      what: 'bytes that a sealed value is longer',
      measured: one.overhead,
      unit: 'bytes',
      most: 70,
    },
    {
      what: 'a row’s secret in a list, over the ciphertext',
      measured: more(list),
      beside: of(list),
      most: bar.row,
    },
    {
      what: 'one row by its key, over the ciphertext',
      measured: more(point),
      beside: of(point),
      most: 60,
    },
    {
      what: '… as a prepared statement',
      measured: more(pointPrepared),
      beside: of(pointPrepared),
      most: 60,
    },
    { what: 'insert, per row, over the plain one', measured: more(insert), beside: of(insert) },
    {
      what: 'search by blind index, over the plain one',
      measured: more(search),
      beside: of(search),
    },
    {
      what: 'encrypt backfill',
      measured: backfill.rows / backfill.seconds,
      unit: 'rows/s',
      beside: `${backfill.seconds.toFixed(1)} s`,
      least: 100_000,
    },
    {
      what: `${String(rewrap.keys)} keys wrapped anew`,
      measured: rewrap.seconds,
      unit: 's',
      most: 15,
    },
  ]
  const title = `secrets, PostgreSQL ${String(major)}`
  const table = new Table({
    head: [title, 'measured', 'beside', 'bar', ''],
    style: { head: [], border: [] },
  })
  const verdicts: Verdict[] = []
  for (const { what, measured, unit = 'µs', beside = '', most, least } of lines) {
    const wanted =
      most !== undefined ? `≤ ${String(most)}` : least !== undefined ? `≥ ${String(least)}` : ''
    const met = measured <= (most ?? Infinity) && measured >= (least ?? -Infinity)
    const shown = `${measured >= 1000 ? measured.toFixed(0) : measured.toFixed(1)} ${unit}`
    table.push([what, shown, beside, wanted, wanted === '' ? '' : met ? 'met' : 'NOT MET'])
    if (wanted !== '')
      verdicts.push({ name: `${title}: ${what}`, measured: shown, bar: wanted, met })
  }
  console.log(`\n${table.toString()}`)
  return verdicts
}

interface Line {
  readonly what: string
  readonly measured: number
  readonly unit?: string
  readonly beside?: string
  readonly most?: number
  readonly least?: number
}

const more = ({ secret, plain }: Pair): number => secret - plain
const of = ({ secret, plain }: Pair): string => `${micros(secret)} and ${micros(plain)}`
const micros = (value: number): string => `${value.toFixed(1)} µs`
