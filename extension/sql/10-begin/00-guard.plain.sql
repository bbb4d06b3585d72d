-- Installs tenantry without extension files on the server. One transaction: it ends whole or not at all.
-- pgcrypto is PostgreSQL's own contrib module and trusted, so the owner of a database may create it.
begin;
set local client_min_messages = warning;
create extension if not exists pgcrypto;
