-- with: _order.lua
-- Out of turn (claim.lua's order): the request waits on the shelf for the jobs before it. To be called when the shelf's queue has
-- confirmed its copy.
-- ARGV: 1 epoch, 2 name, 3 shelf head, 4 shelf body, 5 shelf bound.
-- Gives {'shelved'} (also when it is so already), {'full', '', ms until it may try again}, or {'changed', state}: look again.
local name = ARGV[2]
local now = now_ms()
local r = read(name)
if not r then
    return {'changed', ''}
end
if r.oo == '1' then
    return {'shelved', r.st}
end
local waits = r.st == 'queued' or ((r.st == 'scheduled' or r.st == 'waiting') and r.due <= now and r.q ~= '1')
if not waits then
    return {'changed', r.st}
end
if not is_out_of_turn(name, r) then
    return {'changed', r.st} -- BREAK:turn_looked_at_again
end
if not keep_request(name, ARGV[3], ARGV[4], tonumber(ARGV[5])) then
    redis.call('HSET', job(name), 'sn', int(now + 3600000)) -- parked for an hour at most
    return {'full', '', tonumber(shelf_full_ms(name, r))}
end
leave(name, r)
redis.call('HSET', job(name), 'st', 'queued', 'due', '0', 'oo', '1')
redis.call('ZADD', T .. 'x', '+inf', name) -- BREAK:a_line_is_no_queue
redis.call('ZREM', T .. 'y', name) -- BREAK:out_of_turn_is_no_queue
next_check(name, r.ex, now, now + lost_after_ms())
return {'shelved', 'queued'}
