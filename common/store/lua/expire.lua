-- with: _moods.lua
-- with: _pool.lua
-- with: _order.lua
-- with: _load.lua
-- with: _follow.lua
-- ARGV: 1 epoch, 2 name, 3 "channel|waiter" that leaves, 4 'deadline' or 'hangup', 5 record_ms, 6, 7, 8 as undo.lua's 4, 5, 6.
-- Done only if nothing was claimed and either the latest deadline has passed, or the last waiter left
-- and no 202 was ever given. Gives {state afterwards, attempts}; a record that is gone: the final one is
-- written, unless the store may have forgotten that it was started: {'unknown', 0}.
local name = ARGV[2]
local now = now_ms()
local r = read(name)
local keep = {record_ms = tonumber(ARGV[5]), window_ms = 0, result_ms = 0}
local may_be_forgotten = MAY_FORGET and not was_never_written(now, ARGV[6], ARGV[7], ARGV[8])
if not r and (may_be_forgotten or tenant.get('ep') ~= EPOCH) then
    return {'unknown', 0} -- BREAK:forgotten_is_unknown
end
if not r then
    redis.call('HSET', job(name), 'st', 'expired', 'er', 'expired', 'ca', int(now), 'ea', int(now)) -- BREAK:expire_is_recorded
    redis.call('PEXPIRE', job(name), ARGV[5])
    return {'expired', 0}
end
if FINAL[r.st] or r.st == 'in_doubt' then
    return {r.st, r.n}
end
local rest = {}
for waiter in string.gmatch(r.rc, '%S+') do
    if waiter ~= ARGV[3] then
        rest[#rest + 1] = waiter
    end
end
r.rc = table.concat(rest, ' ')
local is_over = r.ex > 0 and now >= r.ex
local is_abandoned = #rest == 0 and r.o2 ~= '1'
local may_expire = is_over or is_abandoned
-- cnt, ps: written anew, and attempted before, perhaps.
if r.n > 0 or r.st == 'running' or r.cnt > 0 or r.ps == '1' then
    may_expire = false -- BREAK:expire_unclaimed_only
end
if may_expire then
    finish(name, r, 'expired', now, {'er', 'expired'}, keep, '')
    return {'expired', 0}
end
if ARGV[4] == 'deadline' then
    note_overdue(r, now)
end
redis.call('HSET', job(name), 'rc', r.rc)
return {r.st, r.n}
