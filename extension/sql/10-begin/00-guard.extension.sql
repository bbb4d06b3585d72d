\echo Use "CREATE EXTENSION tenantry CASCADE" to load this file. \quit
