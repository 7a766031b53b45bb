-- KEYS[1] '{sluice}:w', ARGV[1] worker, ARGV[2] '1' when it stops in good order and runs nothing.
-- Gives {1}, or {0}: declared dead, for ever.
local counter = redis.call('HGET', KEYS[1], ARGV[1])
if counter == 'dead' then
    return {0}
end
if ARGV[2] == '1' then
    redis.call('HDEL', KEYS[1], ARGV[1])
else
    redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
end
return {1}
