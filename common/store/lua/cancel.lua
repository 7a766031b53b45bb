-- with: _order.lua
-- ARGV: 1 epoch, 2 name, 3 record_ms, 4 window_ms. Gives {'canceled'} or {'no', state, db}.
local name = ARGV[2]
local now = now_ms()
local r = read(name)
if not r then
    return {'missing', '', ''}
end
if r.st == 'canceled' then
    return {'canceled', r.st, ''}
end
if FINAL[r.st] or r.st == 'running' or r.st == 'in_doubt' or r.st == 'accepted' or r.db == '1' then
    return {'no', r.st, r.db} -- BREAK:cancel_unstarted_only
end
finish(name, r, 'canceled', now, {'er', 'canceled'},
       {record_ms = tonumber(ARGV[3]), window_ms = tonumber(ARGV[4]), result_ms = 0}, '')
redis.call('ZREM', T .. 'o', name)
unshelve(name)
return {'canceled', 'canceled', ''}
