-- with: _order.lua
-- ARGV: 1 epoch, 2 name, 3 'retry'|'succeeded'|'failed', 4 note, 5 record_ms, 6 window_ms, 7 result_ms.
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
    return run_again(name, r, now, ARGV[4])
end
if r.st ~= 'in_doubt' then
    if r.st == to then
        return {'settled', r.st}
    end
    return {'not_in_doubt', r.st}
end
unshelve(name)
r.cnt = math.max(r.cnt, 1)
finish(name, r, to, now, {'er', 'resolved', 'nt', ARGV[4], 'db', '0'},
       {record_ms = tonumber(ARGV[5]), window_ms = tonumber(ARGV[6]), result_ms = tonumber(ARGV[7])}, '')
return {'settled', to}
