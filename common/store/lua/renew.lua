-- KEYS[1] '{sluice}:w', ARGV[1] worker, ARGV[2] '1' when it stops in good order and runs nothing, ARGV[3] its
-- lease in ms. The field's value is "<counter>:<lease>": the leader judges each by its own lease.
-- Gives {1}, or {0}: declared dead, for ever.
local value = redis.call('HGET', KEYS[1], ARGV[1])
if value == 'dead' then
    return {0} -- BREAK:death_is_a_mark
end
if ARGV[2] == '1' then
    redis.call('HDEL', KEYS[1], ARGV[1])
else
    local counter = (tonumber(string.match(value or '', '^(%d+):')) or 0) + 1
    redis.call('HSET', KEYS[1], ARGV[1], int(counter) .. ':' .. ARGV[3])
end
return {1}
