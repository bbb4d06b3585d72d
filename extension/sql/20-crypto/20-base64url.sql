-- base64url without padding (RFC 4648, section 5), as JSON Web Tokens use it.
create function tenantry_private.base64url_decode(encoded text)
returns bytea
language sql immutable parallel safe
return decode(translate(encoded, '-_', '+/') || repeat('=', (4 - length(encoded) % 4) % 4), 'base64');

comment on function tenantry_private.base64url_decode(text) is
  'Decodes base64url without padding (RFC 4648, section 5). SQLSTATE 22023 for anything else.';

create function tenantry_private.base64url_encode(bytes bytea)
returns text
language sql immutable parallel safe
return rtrim(translate(replace(encode(bytes, 'base64'), chr(10), ''), '+/', '-_'), '=');

comment on function tenantry_private.base64url_encode(bytea) is
  'Encodes as base64url without padding (RFC 4648, section 5).';
