-- with: _pool.lua
-- Why a job is not running. Nothing is written. ARGV: 1 epoch, 2 name.
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

local t = read_tenant()
-- Those that entered before it and neither run nor wait for a person.
local rank = redis.call('ZRANK', T .. 'u', name)
local before = rank and math.max(0, rank - tonumber(t.run or '0') - tonumber(t.ind or '0'))
local place = before and int(before + 1) or ''
local chosen, reason, till = choose(t, read_pool(t), now)
if chosen then
    return {r.st, int(r.due), r.q, '', '', place, ''}
end
local is_known = reason == 'rate' or reason == 'cooling' or reason == 'breaker' or reason == 'delayed'
return {r.st, int(r.due), r.q, reason, is_known and int(till) or '', place, reason == 'paused' and t.paused or ''}
