-- ARGV: 1 epoch, 2 lost_after in ms. The leader's round over one tenant, bounded in work:
-- frees slots whose end has passed and whose holder is dead or no longer runs the attempt; undoes
-- accepts whose lease is over.
-- Gives {slots freed, accepts undone, unended, running, in doubt, delayed, outbox, age of the oldest that waits, ms}.
local now = now_ms()
local freed, undone = 0, 0
local cursor = redis.call('HGET', KEYS[1], 'swc') or '0'
local page = redis.call('HSCAN', T .. 's', cursor, 'COUNT', 200)
if page[1] ~= cursor then
    redis.call('HSET', KEYS[1], 'swc', page[1])
end
for i = 1, #page[2], 2 do
    local finish_at, worker = string.match(page[2][i + 1], '^(%d+)\t(.-)\t')
    local name, n, token = string.match(page[2][i], '^(.-):(%d+):(.*)$')
    if tonumber(finish_at) < now then -- BREAK:slot_outlives_lease
        local r = read(name)
        local is_run = r and r.st == 'running' and r.n == tonumber(n) and r.tk == token
        if not is_run or redis.call('ZSCORE', T .. 'd', worker) then
            free_slot(name, n, token)
            freed = freed + 1
        end
    end -- BREAK:slot_outlives_lease
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', T .. 'u', '-inf', int(now), 'LIMIT', 0, 100)) do
    local r = read(name)
    if not r then
        redis.call('ZREM', T .. 'u', name)
    elseif r.st == 'accepted' then
        finish(name, r, 'canceled', now, {'er', 'not_accepted'},
               {record_ms = 86400000, window_ms = 0, result_ms = 0}, '')
        undone = undone + 1
    else
        redis.call('ZADD', T .. 'u', int(now + tonumber(ARGV[2])), name)
    end
end
local t = redis.call('HMGET', KEYS[1], 'run', 'ind')
local oldest = 0
local first = redis.call('ZRANGE', T .. 'u', 0, 0)[1]
if first then
    local v = redis.call('HMGET', job(first), 'st', 'ca', 'due')
    if v[1] and v[1] ~= 'running' and v[1] ~= 'in_doubt' then
        oldest = math.max(0, now - math.max(tonumber(v[2] or '0'), tonumber(v[3] or '0')))
    end
end
return {freed, undone, redis.call('ZCARD', T .. 'u'), tonumber(t[1] or '0'), tonumber(t[2] or '0'),
        redis.call('ZCOUNT', T .. 'w', '(' .. int(now), '+inf'), redis.call('ZCARD', T .. 'o'),
        int(oldest)}
