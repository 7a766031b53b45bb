-- with: _order.lua
-- ARGV: 1 epoch, 2 schedule, 3 cursor as it was read ('' for a schedule never seen), 4 the new cursor,
-- 5 name of the job ('' to move the cursor only), 6 '1' to skip while the last job has not ended,
-- 7 shelf head, 8 shelf body, 9 ms until the job's own deadline (0 never), 10 lost_after in ms, 11… fields.
-- One script moves the cursor and puts the job into the outbox. Gives {what happened, cursor}: fired |
-- moved (also: the job is there already) | skipped | behind (the cursor is another) | memory.
local schedule, name = ARGV[2], ARGV[5]
if tenant.get('ep') ~= EPOCH then
    return {'memory', ''}
end
local cursor = redis.call('HGET', T .. 'c', schedule) or ''
if cursor ~= ARGV[3] then
    return {'behind', cursor} -- BREAK:cursor_by_compare
end
local now = now_ms()
redis.call('HSET', T .. 'c', schedule, ARGV[4])
if name == '' then
    return {'moved', ARGV[4]}
end
if ARGV[6] == '1' then
    local last = redis.call('HGET', T .. 'c', schedule .. ':last')
    local st = last and redis.call('HGET', job(last), 'st')
    if st and not FINAL[st] then
        redis.call('HINCRBY', T .. 'c', schedule .. ':skipped', 1)
        return {'skipped', ARGV[4]}
    end
end
if redis.call('EXISTS', job(name)) == 1 then
    -- Fired by a leader whose cursor the store has forgotten: its message came, or its record stayed.
    return {'moved', ARGV[4]} -- BREAK:fire_makes_no_job_twice
end
local own = tonumber(ARGV[9]) > 0 and now + tonumber(ARGV[9]) or 0
redis.call('HSET', T .. 'c', schedule .. ':last', name, schedule .. ':fired', int(now))
redis.call('HSET', job(name), 'st', 'queued', 'cl', 'normal', 'k', '', 'ca', int(now), 'ex', int(own), 'xa', int(own),
           'due', '0', 'rc', '', 'o2', '1', 'n', '0', 'cnt', '0', unpack(ARGV, 11))
join_line(name, {ok = redis.call('HGET', job(name), 'ok') or '', due = 0}, now)
next_check(name, own, now, now + tonumber(ARGV[10]))
redis.call('HSET', T .. 'b:' .. name, 'h', ARGV[7], 'b', ARGV[8], 'q', #ARGV[7] + #ARGV[8])
tenant.add('sb', #ARGV[7] + #ARGV[8])
redis.call('ZADD', T .. 'o', int(now), name) -- BREAK:cursor_with_job
return {'fired', ARGV[4]}
