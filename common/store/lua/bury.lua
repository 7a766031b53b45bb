-- KEYS[1] '{sluice}:w', ARGV[1] worker, ARGV[2] the counter that stood still for a lease.
-- Gives {1} when it is dead now, {0} when it moved.
local counter = redis.call('HGET', KEYS[1], ARGV[1])
if counter == 'dead' then
    return {1}
end
if counter ~= ARGV[2] then
    return {0} -- BREAK:bury_by_compare
end
redis.call('HSET', KEYS[1], ARGV[1], 'dead')
return {1}
