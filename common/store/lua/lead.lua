-- KEYS[1] '{sluice}:leader', ARGV[1] dispatcher, ARGV[2] lease in ms (0: give it back).
-- Gives {1} while it leads, else {0}.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return {0} -- BREAK:one_leader
end
if ARGV[2] == '0' then
    redis.call('DEL', KEYS[1])
    return {0}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1}
