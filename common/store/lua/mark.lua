-- with: _order.lua
-- ARGV: 1 epoch, 2 lost_after in ms, 3… names. Gives each job's state afterwards ('' without record).
-- Never moves a state backwards.
local now = now_ms()

local function mark(name)
    local v = redis.call('HMGET', job(name), 'st', 'due', 'ex', 'ok')
    local st = v[1] or ''
    if st ~= 'accepted' then
        return st -- BREAK:mark_never_backwards
    end
    local due = tonumber(v[2] or '0')
    st = due > now and 'scheduled' or 'queued'
    redis.call('HSET', job(name), 'st', st)
    if v[4] then join_line(name, {ok = v[4], due = due}, now) end -- BREAK:mark_takes_a_place
    next_check(name, tonumber(v[3] or '0'), now, math.max(due, now) + tonumber(ARGV[2]))
    if due > now then
        redis.call('ZADD', T .. 'w', int(due), name)
    end
    return st
end

local states = {}
for i = 3, #ARGV do
    states[#states + 1] = mark(ARGV[i])
end
return states
