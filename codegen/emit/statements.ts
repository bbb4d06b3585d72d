import {
  StructureKind,
  VariableDeclarationKind,
  type FunctionDeclarationStructure,
  type InterfaceDeclarationStructure,
  type JSDocStructure,
  type OptionalKind,
  type StatementStructures,
} from 'ts-morph'

type Docs = OptionalKind<JSDocStructure>[]

/** A blank line, which ts-morph puts around interfaces and functions only. */
const leadingTrivia = '\n'

export function exportedInterface(
  declaration: OptionalKind<InterfaceDeclarationStructure>,
): StatementStructures {
  return { ...declaration, kind: StructureKind.Interface, isExported: true }
}

export function exportedFunction(
  declaration: OptionalKind<FunctionDeclarationStructure>,
): StatementStructures {
  return { ...declaration, kind: StructureKind.Function, isExported: true }
}

export function typeAlias(name: string, type: string, docs: Docs): StatementStructures {
  return { kind: StructureKind.TypeAlias, leadingTrivia, isExported: true, name, type, docs }
}

export function constant(name: string, initializer: string, docs: Docs): StatementStructures {
  return {
    kind: StructureKind.VariableStatement,
    leadingTrivia,
    isExported: true,
    declarationKind: VariableDeclarationKind.Const,
    declarations: [{ name, initializer }],
    docs,
  }
}
