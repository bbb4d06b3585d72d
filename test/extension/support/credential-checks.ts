import { expect } from 'vitest'
import { expectRefusal } from './refusal.js'
import { claims, entered, token, type Notes } from './notes.js'

/** What one login sees with a credential, and how a bad one is refused. */
export interface CredentialChecks {
  /** Whose notes a session with this credential sees. */
  seenWith(credential: string | null): Promise<string[]>
  accepts(credential: string, body?: string): Promise<void>
  /** Refused with this code, beside a control; the message quotes nothing of the credential. */
  refuses(credential: string | null, code: string, message?: RegExp): Promise<void>
}

export function credentialChecks(notes: Notes): CredentialChecks {
  const { client, db } = notes
  const checks: CredentialChecks = {
    seenWith(credential) {
      return entered(client, credential as string, async () => {
        const { rows } = await client.query<{ body: string }>(
          'select body from app.notes order by id',
        )
        return rows.map(({ body }) => body)
      })
    },
    async accepts(credential, body = 'note of one') {
      expect(await checks.seenWith(credential)).toEqual([body])
    },
    async refuses(credential, code, message) {
      await checks.accepts(token(claims(db, 'user:1')))
      const error = await expectRefusal(checks.seenWith(credential), code, message)
      expect(error.hint ?? '').not.toBe('')
      const said = [error.message, error.detail, error.hint, error.where].join(' ')
      for (const part of (credential ?? '').split('.')) {
        if (part.length >= 12) expect(said).not.toContain(part.slice(0, 60))
      }
    },
  }
  return checks
}
