import { expect, it } from 'vitest'
import { skipWithReason } from '../skip.js'

it('holds', () => {
  expect(1 + 1).toBe(2)
})

it('is skipped without being listed', (context) => {
  skipWithReason(context, 'the moon is not full')
})
