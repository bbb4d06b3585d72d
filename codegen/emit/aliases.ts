import type { StatementStructures } from 'ts-morph'
import type { DomainModel, EnumModel, KindModel, Model } from '../model.js'
import { docs } from './docs.js'
import { literal } from './literals.js'
import { constant, exportedFunction, typeAlias } from './statements.js'

/** Kinds with their ids, enums and domains: what the rows are made of. */
export function aliasStatements(model: Model): StatementStructures[] {
  return [
    ...model.kinds.flatMap(kindStatements),
    ...model.enums.flatMap(enumStatements),
    ...model.domains.map(domainStatement),
  ]
}

function kindStatements({
  kind,
  table,
  idType,
  base,
  constant: name,
}: KindModel): StatementStructures[] {
  const place = table === null ? '' : `, a row of \`${table}\``
  const entity = `an entity of kind \`${kind}\``
  return [
    typeAlias(
      idType,
      `${base} & Brand<${literal(kind)}>`,
      docs(`The id of ${entity}${place}. No other id fits where one is wanted.`),
    ),
    exportedFunction({
      name: idType,
      parameters: [{ name: 'id', type: base }],
      returnType: idType,
      statements: `return id as ${idType}`,
      docs: docs(`Takes an id from outside as that of ${entity}. Checks nothing.`),
    }),
    constant(
      name,
      `identity(${literal(kind)})`,
      docs(`Makes the identity of ${entity}: \`${name}(id)\`.`),
    ),
  ]
}

function enumStatements({ info, typeName, constant: name }: EnumModel): StatementStructures[] {
  return [
    constant(
      name,
      `${literal(info.labels)} as const`,
      docs(`The labels of the enum \`${info.schema}.${info.name}\`, in order.`),
    ),
    typeAlias(
      typeName,
      `(typeof ${name})[number]`,
      docs(info.comment, `Enum \`${info.schema}.${info.name}\`.`),
    ),
  ]
}

function domainStatement({ info, typeName, base }: DomainModel): StatementStructures {
  const checks = info.checks.map(({ definition }) => `\`${definition.replaceAll('`', "'")}\``)
  const facts = [`Domain \`${info.schema}.${info.name}\` over \`${info.sqlBase}\``, ...checks]
  return typeAlias(typeName, base, docs(info.comment, `${facts.join(', ')}.`))
}
