/**
 * Kysely's `ColumnType`, structurally: its types ask for these three properties and no more, so
 * generated files describe a database for Kysely without depending on it.
 */
export interface ColumnType<Select, Insert = Select, Update = Select> {
  readonly __select__: Select
  readonly __insert__: Insert
  readonly __update__: Update
}
