-- KEYS[1] '{sluice}:seen:<a link's own name>', ARGV[1] its counter, ARGV[2] how many ms it is kept.
-- Gives what stood there before, 0 for nothing. Replicas that have it have all that was written before it.
local before = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return tonumber(before or '0')
