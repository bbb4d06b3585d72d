/** The same URL for another database. */
export function withDatabase(url: string, database?: string): string {
  if (database === undefined) return url
  const changed = new URL(url)
  changed.pathname = `/${encodeURIComponent(database)}`
  return changed.href
}

/** The same URL for another login. */
export function withLogin(url: string, name: string, password: string): string {
  const changed = new URL(url)
  changed.username = encodeURIComponent(name)
  changed.password = encodeURIComponent(password)
  return changed.href
}
