-- What the application had encrypted itself, elizaOS up to 1.7: AES-256-CBC under the SHA-256 of its salt, as iv:ciphertext
-- in hexadecimal. It knows which of its settings it never encrypted, so nothing is guessed. Its later v2: is AES-GCM, which
-- pgcrypto does not have: such values are sealed as they are, and the application goes on opening them.
create function opened_by_elizaos(secrets text)
returns text
language sql stable security definer
set search_path = pg_catalog, public, pg_temp
return (
  select jsonb_object_agg(s.name, case
           when s.name <> 'PAIRED_KEY' and s.value ~ '^[0-9a-f]{32}:[0-9a-f]+$'
             then convert_from(decrypt_iv(decode(split_part(s.value, ':', 2), 'hex'), sha256('fixture-secret-salt'), decode(split_part(s.value, ':', 1), 'hex'), 'aes-cbc'), 'UTF8')
           else s.value
         end)::text
    from jsonb_each_text(secrets::jsonb) as s (name, value));

comment on function opened_by_elizaos(text) is 'Opens the agent secrets that elizaOS had encrypted itself.';

revoke all on function opened_by_elizaos(text) from public;
grant execute on function opened_by_elizaos(text) to tenantry_owner;

select * from tenantry.encrypt_column('agents', 'settings', path => '{secrets}', import_with => 'opened_by_elizaos(text)');
select * from tenantry.encrypt_column('user_characters', 'secrets');
