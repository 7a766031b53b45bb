-- with: _moods.lua
-- with: _pool.lua
-- with: _order.lua
-- Why a job is not running. Nothing is written. ARGV: 1 epoch, 2 name, 3… options:
-- the policies that _moods.lua wants.
-- Gives {'missing'} or {state, due, q, reason, until, place, note}; '' for what there is not. The reason and its instant are those
-- that a claim would be given now; `until` only where the instant is known. place: 1 is next, as far as the order of
-- arrival says.
local name = ARGV[2]
local now = now_ms()
local r = read(name)
if not r then
    return {'missing'}
end
local waits = r.st == 'queued' or r.st == 'scheduled' or r.st == 'waiting'
if not waits then
    return {r.st, int(r.due), r.q, '', '', '', ''}
end
if r.due > now then
    return {r.st, int(r.due), r.q, 'delayed', int(r.due), '', ''}
end

local t = tenant.all()
-- Those that entered before it and neither run nor wait for a person.
local rank = redis.call('ZRANK', T .. 'u', name)
local before = rank and math.max(0, rank - tonumber(t.run or '0') - tonumber(t.ind or '0'))
local place = before and int(before + 1) or ''
if is_out_of_turn(name, r) then
    local first = place_in_line(name, r)
    return {r.st, int(r.due), r.q, 'order', '', first and int(first + 1) or '', ''}
end
local pool = read_pool(t)
set_moods(t, pool, options(3), now)
local chosen, reason, till = choose(t, pool, now, wanted(t, r.cl, {}))
if chosen and tonumber(redis.call('ZSCORE', T .. 'x', name) or '0') > now then
    return {r.st, int(r.due), r.q, 'concurrency', '', '', ''} -- of its key
end
if chosen then
    return {r.st, int(r.due), r.q, '', '', place, ''}
end
local is_known = reason == 'rate' or reason == 'cooling' or reason == 'breaker' or reason == 'delayed'
return {r.st, int(r.due), r.q, reason, is_known and int(till) or '', place, reason == 'paused' and t.paused or ''}
