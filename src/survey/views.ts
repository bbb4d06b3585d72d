import type { Decision } from './decision.js'
import type { Facts } from './facts.js'
import type { ViewProposal } from './model.js'
import { identifier, path, qualified } from './names.js'

/**
 * A view reads its tables as the view's owner, so over protected tables it shows nothing, or for a
 * superuser's view everything. With security_invoker it reads them as whoever asks.
 */
export function viewProposals(decisions: readonly Decision[], facts: Facts): ViewProposal[] {
  const isolated = new Set(
    decisions
      .filter((decision) => decision.owned !== null || decision.class === 'protected')
      .map((decision) => path(decision.table)),
  )
  return facts.views.flatMap((view): ViewProposal[] => {
    const over = view.reads.filter((table) => isolated.has(path(table)))
    if (over.length === 0) return []
    const tables = over.map((table) => table.name).join(', ')
    if (view.materialized) {
      return [
        {
          view,
          reason: `keeps rows of all owners of ${tables} and cannot be filtered: nobody but its owner may read it`,
          statements: [`revoke all on ${qualified(view)} from public, tenantry_user;`],
        },
      ]
    }
    const grant = `grant select on ${qualified(view)} to tenantry_user;`
    return [
      {
        view,
        reason: view.securityInvoker
          ? `reads ${tables} as whoever asks`
          : `reads ${tables} as its owner, which row security leaves with no row: from now on as whoever asks`,
        statements: [
          ...(view.securityInvoker
            ? []
            : [`alter view ${qualified(view)} set (security_invoker = true);`]),
          grant,
        ],
      },
    ]
  })
}

/** Names for messages. */
export const viewName = (view: ViewProposal['view']): string =>
  `${identifier(view.schema)}.${identifier(view.name)}`
