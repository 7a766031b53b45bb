-- A tenant's entry in the registry's index, which tells everybody which document to read. Of two dispatchers the later word stands,
-- whichever comes last: a reader that has seen the same version before does not read again.
-- KEYS[1] '{sluice}:tenants', KEYS[2] '{sluice}:revisions' name -> the overlay's revision that it comes from.
-- ARGV: 1 unused, 2 name, 3 the document's digest ('' removes the entry), 4 revision. Gives {1} written, {0} a later one stands.
-- The version that stands there is "<digest>.<revision since which it is so>": a document that comes back is another version, for
-- somebody may have read what was there between.
local name, digest, revision = ARGV[2], ARGV[3], ARGV[4]
if tonumber(redis.call('HGET', KEYS[2], name) or '0') > tonumber(revision) then
    return {0} -- BREAK:newest_index_stands
end
redis.call('HSET', KEYS[2], name, revision)
local stands = string.match(redis.call('HGET', KEYS[1], name) or '', '^(.*)%.%d+$')
if digest == '' then
    redis.call('HDEL', KEYS[1], name)
elseif stands ~= digest then
    redis.call('HSET', KEYS[1], name, digest .. '.' .. revision)
end
return {1}
