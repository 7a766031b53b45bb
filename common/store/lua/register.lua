-- ARGV: 1 epoch, 2 the tenant's document ('' removes it), 3 instances (a line each, _pool.lua), 4 concurrency,
-- 5… options: pol its policy (_pool.lua).
-- Gives {1} changed, {0} the same, {-1} not removed: it has unended jobs.
-- The registry's index (another tag) is written by the caller, afterwards.
local opt = options(5)
local policy = opt.pol or ''
if ARGV[2] == '' then
    if redis.call('ZCARD', T .. 'u') > 0 then
        return {-1}
    end
    redis.call('DEL', T .. 'doc')
    redis.call('HDEL', KEYS[1], 'ep', 'il', 'tc', 'pol', 'sw')
    return {1}
end
local before = redis.call('HMGET', KEYS[1], 'ep', 'il', 'tc', 'pol')
if redis.call('GET', T .. 'doc') == ARGV[2] and before[1] == EPOCH and before[2] == ARGV[3] and
    before[3] == ARGV[4] and (before[4] or '') == policy then
    return {0}
end
redis.call('SET', T .. 'doc', ARGV[2])
redis.call('HSET', KEYS[1], 'ep', EPOCH, 'il', ARGV[3], 'tc', ARGV[4], 'pol', policy)
if before[2] ~= ARGV[3] then
    redis.call('HDEL', KEYS[1], 'sw') -- by place in the list
end
if before[1] ~= EPOCH and GENERATION ~= '' then
    -- New here: it forgot nothing, unless the caller knows better.
    redis.call('HSET', KEYS[1], 'gn', GENERATION)
    note_life({gn = GENERATION}, now_ms())
end
wake_waiting() -- BREAK:change_wakes
return {1}
