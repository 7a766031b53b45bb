-- with: _order.lua
-- with: _follow.lua
-- ARGV: 1 epoch, 2 name, 3 ms that the final record is kept, 4, 5, 6 the epoch and the generation in which its message
-- went before its record, and when (_follow.lua), or absent. Compare-and-set: only what is still accepted is undone.
-- Gives {'undone'} (it will not run; the key is free) or {'lost', state}. No record: the final one is
-- written, so that a message still under way finds it; {'unknown'} when the store may have forgotten that it was started.
local name = ARGV[2]
local now = now_ms()
local r = read(name)
local may_be_forgotten = MAY_FORGET and not was_never_written(now, ARGV[4], ARGV[5], ARGV[6])
if not r and (may_be_forgotten or tenant.get('ep') ~= EPOCH) then
    return {'unknown'} -- BREAK:forgotten_is_unknown
end
if not r then
    withdraw_unknown(name, now, ARGV[3]) -- BREAK:undo_is_recorded
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
