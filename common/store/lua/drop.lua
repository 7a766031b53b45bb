-- ARGV: 1 epoch, 2 name, 3 record_ms, 4 window_ms, 5 result_ms.
-- A person drops a dead letter: it leaves the shelf and stays failed. Its record, its answer and its key's
-- window run from now. What is in doubt is not dropped: whether it took effect must be said (resolve.lua).
-- Gives {what happened, detail}: dropped (also when it was before) | in_doubt | not_on_shelf state | missing.
local name = ARGV[2]
local r = read(name)
if not r then
    return {'missing', ''}
end
if r.sh ~= '1' then
    if redis.call('HEXISTS', job(name), 'dp') == 1 then
        return {'dropped', ''}
    end
    return {'not_on_shelf', r.st}
end
if r.st == 'in_doubt' then
    return {'in_doubt', ''} -- BREAK:in_doubt_is_not_dropped
end
local record_ms, window_ms, result_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
unshelve(name)
-- No attempt is in doubt any more: the shelf queue's copy may go.
redis.call('HSET', job(name), 'dp', int(now_ms()), 'db', '0')
release_key(name, r, window_ms)
if r.k ~= '' then
    record_ms = math.max(record_ms, window_ms)
    result_ms = math.max(result_ms, window_ms)
end
redis.call('PEXPIRE', job(name), int(record_ms))
redis.call('PEXPIRE', T .. 'r:' .. name, int(result_ms))
return {'dropped', ''}
