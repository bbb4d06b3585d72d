import { VariableDeclarationKind, type SourceFile } from 'ts-morph'
import type { DomainModel, EnumModel, KindModel, Model } from '../model.js'
import { docs } from './docs.js'
import { literal } from './literals.js'

/** Kinds with their ids, enums and domains: what the rows are made of. */
export function emitAliases(file: SourceFile, model: Model): void {
  for (const kind of model.kinds) emitKind(file, kind)
  for (const type of model.enums) emitEnum(file, type)
  for (const type of model.domains) emitDomain(file, type)
}

function emitKind(file: SourceFile, kind: KindModel): void {
  const place = kind.table === null ? '' : `, a row of \`${kind.table}\``
  const entity = `an entity of kind \`${kind.kind}\``
  file.addTypeAlias({
    isExported: true,
    name: kind.idType,
    type: `${kind.base} & Brand<${literal(kind.kind)}>`,
    docs: docs(`The id of ${entity}${place}. No other id fits where one is wanted.`),
  })
  file.addFunction({
    isExported: true,
    name: kind.idType,
    parameters: [{ name: 'id', type: kind.base }],
    returnType: kind.idType,
    statements: `return id as ${kind.idType}`,
    docs: docs(`Takes an id from outside as that of ${entity}. Checks nothing.`),
  })
  file.addVariableStatement({
    isExported: true,
    declarationKind: VariableDeclarationKind.Const,
    declarations: [{ name: kind.constant, initializer: `identity(${literal(kind.kind)})` }],
    docs: docs(`Makes the identity of ${entity}: \`${kind.constant}(id)\`.`),
  })
}

function emitEnum(file: SourceFile, { info, typeName, constant }: EnumModel): void {
  file.addVariableStatement({
    isExported: true,
    declarationKind: VariableDeclarationKind.Const,
    declarations: [{ name: constant, initializer: `${literal(info.labels)} as const` }],
    docs: docs(`The labels of the enum \`${info.schema}.${info.name}\`, in order.`),
  })
  file.addTypeAlias({
    isExported: true,
    name: typeName,
    type: `(typeof ${constant})[number]`,
    docs: docs(info.comment, `Enum \`${info.schema}.${info.name}\`.`),
  })
}

function emitDomain(file: SourceFile, { info, typeName, base }: DomainModel): void {
  const checks = info.checks.map(({ definition }) => `\`${definition.replaceAll('`', "'")}\``)
  file.addTypeAlias({
    isExported: true,
    name: typeName,
    type: base,
    docs: docs(
      info.comment,
      [`Domain \`${info.schema}.${info.name}\` over \`${info.sqlBase}\``, ...checks].join(', ') +
        '.',
    ),
  })
}
