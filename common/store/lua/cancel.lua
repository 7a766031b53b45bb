-- with: _order.lua
-- ARGV: 1 epoch, 2 name, 3 record_ms, 4 window_ms. Gives {'canceled'} or {'no', state, db}.
local name = ARGV[2]
local r = read(name)
if not r then
    return {'missing', '', ''}
end
if r.st == 'canceled' then
    return {'canceled', r.st, ''}
end
local keep = {record_ms = tonumber(ARGV[3]), window_ms = tonumber(ARGV[4]), result_ms = 0}
if not cancel_unstarted(name, r, now_ms(), {'er', 'canceled'}, keep) then
    return {'no', r.st, r.db}
end
return {'canceled', 'canceled', ''}
