-- An entity is anything that owns rows or acts, written kind:id everywhere. The kind is never guessed: with bigint
-- keys user 1 and org 1 always coexist, and elizaOS gives an agent, its room and its world one uuid.
-- What violates it is told the name of the constraint, and nothing else.
-- Lengths are counted beside the pattern: {1,200} in it would make each comparison a hundred times slower.
create domain tenantry.entity as text
  constraint "an entity is written kind:id, such as user:42" check (
    value ~ '^[a-z][a-z0-9_]*:[^\x01-\x1f\x7f]+$'
    and strpos(value, ':') <= 64
    and length(value) - strpos(value, ':') <= 200);

comment on domain tenantry.entity is
  'kind:id, such as user:6f1c… or org:42. kind: a lower-case letter, then letters, digits, underscores, at most 63. id: 1 to 200 characters, no control characters.';

create function tenantry_private.kind_of(entity text)
returns text
language sql immutable parallel safe
return substr(entity, 1, strpos(entity, ':') - 1);

comment on function tenantry_private.kind_of(text) is 'The kind of an entity.';

create function tenantry_private.id_of(entity text)
returns text
language sql immutable parallel safe
return substr(entity, strpos(entity, ':') + 1);

comment on function tenantry_private.id_of(text) is 'The id of an entity, as text.';

create function tenantry_private.is_entity(entity text)
returns boolean
language sql immutable parallel safe
return entity ~ '^[a-z][a-z0-9_]*:[^\x01-\x1f\x7f]+$'
   and strpos(entity, ':') <= 64
   and length(entity) - strpos(entity, ':') <= 200;

comment on function tenantry_private.is_entity(text) is 'Whether a text may be an entity, by the rule of the domain tenantry.entity.';
