-- ARGV: 1 epoch, 2 name, 3 the entry's time as it was read. An entry that was put anew since stays.
local score = redis.call('ZSCORE', T .. 'o', ARGV[2])
if not score or tonumber(score) ~= tonumber(ARGV[3]) then
    return {0} -- BREAK:outbox_done_by_compare
end
redis.call('ZREM', T .. 'o', ARGV[2])
if redis.call('EXISTS', job(ARGV[2])) == 1 then
    redis.call('HSET', job(ARGV[2]), 'sn', int(now_ms())) -- its message is new
end
-- Back on the shelf already: the copy is the shelf's again.
local is_copy_free = true
is_copy_free = not redis.call('ZSCORE', T .. 'h', ARGV[2]) -- BREAK:shelf_keeps_copy
is_copy_free = is_copy_free and redis.call('HGET', job(ARGV[2]), 'oo') ~= '1' -- out of turn again
if is_copy_free then
    local size = redis.call('HGET', T .. 'b:' .. ARGV[2], 'q')
    if size then
        tenant.add('sb', -tonumber(size))
    end
    redis.call('DEL', T .. 'b:' .. ARGV[2])
end
return {1}
