-- The only functions of pgcrypto that tenantry uses, under names of its own: created here because pgcrypto's schema is
-- known at installation only, and called once, to see that they compute what they should. Their bodies name the functions
-- themselves (RETURN, not text), so that whoever owns the database cannot move pgcrypto elsewhere and slip others in.
do $primitives$
declare
  home name := current_setting('tenantry.pgcrypto');
begin
  execute format($sql$
    create function tenantry_private.hmac_sha256(message bytea, key bytea)
    returns bytea
    language sql immutable parallel safe
    return %1$I.hmac(message, key, 'sha256')
  $sql$, home);
  execute format($sql$
    create function tenantry_private.random_bytes(count integer)
    returns bytea
    language sql volatile parallel safe
    return %1$I.gen_random_bytes(count)
  $sql$, home);
  -- The form with an initialisation vector: the one without takes sixteen zero bytes. Keys and vectors of other lengths
  -- would be padded in silence, so whoever calls these sees to it that they have 32 and 16 bytes.
  execute format($sql$
    create function tenantry_private.aes_encrypt(plain bytea, key bytea, iv bytea)
    returns bytea
    language sql immutable parallel safe
    return %1$I.encrypt_iv(plain, key, iv, 'aes-cbc/pad:pkcs')
  $sql$, home);
  execute format($sql$
    create function tenantry_private.aes_decrypt(sealed bytea, key bytea, iv bytea)
    returns bytea
    language sql immutable parallel safe
    return %1$I.decrypt_iv(sealed, key, iv, 'aes-cbc/pad:pkcs')
  $sql$, home);

  -- RFC 4231, test case 2.
  if tenantry_private.hmac_sha256(convert_to('what do ya want for nothing?', 'UTF8'), convert_to('Jefe', 'UTF8'))
     <> '\x5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843' then
    raise exception 'pgcrypto in schema % does not compute HMAC-SHA-256', home
      using hint = 'Reinstall pgcrypto: drop extension pgcrypto; create extension pgcrypto;';
  end if;
  -- NIST SP 800-38A, F.2.5 (CBC-AES256), its first block.
  if substr(tenantry_private.aes_encrypt('\x6bc1bee22e409f96e93d7e117393172a',
       '\x603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4', '\x000102030405060708090a0b0c0d0e0f'), 1, 16)
     <> '\xf58c4c04d6e5f1ba779eabfb5f7bfbd6' then
    raise exception 'pgcrypto in schema % does not compute AES-256-CBC', home
      using hint = 'Reinstall pgcrypto: drop extension pgcrypto; create extension pgcrypto;';
  end if;
  if octet_length(tenantry_private.random_bytes(32)) <> 32 then
    raise exception 'pgcrypto in schema % does not make random bytes', home
      using hint = 'Reinstall pgcrypto: drop extension pgcrypto; create extension pgcrypto;';
  end if;
end
$primitives$;

-- No pinned search_path on these: everything in them is qualified, and a SET clause would keep the planner
-- from inlining them into the functions that call them.
comment on function tenantry_private.hmac_sha256(bytea, bytea) is 'HMAC-SHA-256 (RFC 2104) by pgcrypto.';
comment on function tenantry_private.random_bytes(integer) is 'Cryptographically strong random bytes by pgcrypto.';
comment on function tenantry_private.aes_encrypt(bytea, bytea, bytea) is 'AES-256-CBC with PKCS#7 padding by pgcrypto (NIST SP 800-38A). key: 32 bytes; iv: 16 bytes.';
comment on function tenantry_private.aes_decrypt(bytea, bytea, bytea) is 'The inverse of aes_encrypt(). Only for what has been authenticated: its error tells of padding.';
