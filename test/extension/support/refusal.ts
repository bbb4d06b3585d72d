import pg from 'pg'
import { expect } from 'vitest'

/** The error with which the server refuses; the test fails when it does not refuse. */
export async function refusal(work: Promise<unknown>): Promise<pg.DatabaseError> {
  try {
    await work
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error
    throw error
  }
  throw new Error('the server did not refuse')
}

/** Expects a refusal with this SQLSTATE; returns it for a closer look. */
export async function expectRefusal(
  work: Promise<unknown>,
  code: string,
  message: RegExp = /./,
): Promise<pg.DatabaseError> {
  const error = await refusal(work)
  expect({ code: error.code, message: error.message }).toEqual({
    code,
    message: expect.stringMatching(message) as string,
  })
  return error
}
