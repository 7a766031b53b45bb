-- A caller's rate over all ingresses (GCRA). KEYS[1] is '{quota:<caller>}:t'; '{quota:<caller>}:g' holds the instant, in
-- microseconds, from which on the caller would have all its calls again.
-- ARGV: 1 epoch, 2 calls a period, 3 the period in ms, 4 calls at once. Gives {'ok' | 'no', calls left, ms until all are there
-- again, ms until the next one}. Asked again it charges again: whoever gets no answer does not ask again.
local key = T .. 'g'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local each = tonumber(ARGV[3]) * 1000 / tonumber(ARGV[2])
local room = math.max(1, tonumber(ARGV[4])) * each
-- Never further ahead than the room: the rate may have been another one.
local full_at = math.min(math.max(now, tonumber(redis.call('GET', key) or '0')), now + room)
local is_over = full_at + each > now + room + 1
if not is_over then
    full_at = full_at + each
    redis.call('SET', key, int(full_at), 'PX', int(math.ceil((full_at - now) / 1000) + 1000)) -- BREAK:quota_is_charged
end
local left = math.floor((now + room - full_at + 1) / each)
local wait = is_over and full_at + each - room - now or 0
return {is_over and 'no' or 'ok', int(left), int(math.ceil((full_at - now) / 1000)), int(math.ceil(wait / 1000))}
