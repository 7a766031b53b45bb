-- ARGV: 1 epoch, 2 name, 3 'retry'|'succeeded'|'failed', 4 note, 5 record_ms, 6 window_ms, 7 result_ms,
-- 8 '1': only what is on the shelf as failed or in doubt may run again (the /retry call).
-- Gives {what happened, detail}: queued | settled | missing | not_on_shelf state | key_taken name | not_in_doubt state.
local name, to = ARGV[2], ARGV[3]
local now = now_ms()
local r = read(name)
if not r then
    return {'missing', ''}
end
if to == 'retry' then
    if r.sh ~= '1' and redis.call('ZSCORE', T .. 'o', name) then
        return {'queued', ''}
    end
    if r.sh ~= '1' then
        return {'not_on_shelf', r.st}
    end
    if r.k ~= '' then
        local held = redis.call('GET', T .. 'k:' .. r.k)
        if held and held ~= name then
            return {'key_taken', held}
        end
        redis.call('SET', T .. 'k:' .. r.k, name)
    end
    to_outbox(name, r, now, 0)
    -- Attempts are counted anew, numbers go on: the number is the fence.
    redis.call('HSET', job(name), 'cnt', '0', 'ex', '0', 'xa', '0', 'db', '0', 'ls', '',
               'ps', (r.cnt > 0 or r.ps == '1') and '1' or '0', 'nt', ARGV[4])
    redis.call('DEL', T .. 'r:' .. name)
    return {'queued', ''}
end
if r.st ~= 'in_doubt' then
    if r.st == to then
        return {'settled', r.st}
    end
    return {'not_in_doubt', r.st}
end
unshelve(name)
r.cnt = math.max(r.cnt, 1)
finish(name, r, to, now, {'er', 'resolved', 'db', '0', 'nt', ARGV[4]},
       {record_ms = tonumber(ARGV[5]), window_ms = tonumber(ARGV[6]), result_ms = tonumber(ARGV[7])}, '')
return {'settled', to}
