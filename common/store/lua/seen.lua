-- KEYS[1] '{sluice}:seen:<a link's own name>', ARGV[1] its counter, ARGV[2] how many ms it is kept, ARGV[3] the counter that was
-- confirmed to the link last.
-- Gives what stood there before, 0 for nothing. Replicas that have it have all that was written before it. Less than ARGV[3] stays as
-- it is: what was confirmed is gone, and arrive.lua is to notice it.
local before = tonumber(redis.call('GET', KEYS[1]) or '0')
if before < tonumber(ARGV[3]) then
    return before -- BREAK:loss_under_hands_stays
end
-- What a connection that was given up had sent may come after what a later one said.
local newest = tonumber(ARGV[1])
newest = math.max(before, newest) -- BREAK:counter_never_back
redis.call('SET', KEYS[1], string.format('%.0f', newest), 'PX', ARGV[2])
return before
