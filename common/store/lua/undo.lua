-- with: _order.lua
-- ARGV: 1 epoch, 2 name, 3 ms that the final record is kept. Compare-and-set: only what is still accepted is undone.
-- Gives {'undone'} (it will not run; the key is free) or {'lost', state}. No record: the final one is
-- written, so that a message still under way finds it; {'unknown'} when the store may have forgotten that it was started.
local name = ARGV[2]
local now = now_ms()
local r = read(name)
if not r and (MAY_FORGET or tenant.get('ep') ~= EPOCH) then
    return {'unknown'} -- BREAK:forgotten_is_unknown
end
if not r then
    redis.call('HSET', job(name), 'st', 'canceled', 'er', 'not_accepted', 'ca', int(now), 'ea', int(now)) -- BREAK:undo_is_recorded
    redis.call('PEXPIRE', job(name), ARGV[3])
    return {'undone'}
end
if r.st == 'canceled' then
    return {'undone'}
end
if r.st ~= 'accepted' then
    return {'lost', r.st} -- BREAK:undo_by_compare
end
withdraw(name, r, now)
return {'undone'}
