-- with: _order.lua
-- with: _fire.lua
-- ARGV: 1 epoch, 2 schedule, 3 cursor as it was read ('' for a schedule never seen), 4 the new cursor,
-- 5 name of the job ('' to move the cursor only), 6 '1' to skip while the last job has not ended, from 7 on the job (make_job in
-- _fire.lua).
-- One script moves the cursor and puts the job into the outbox. Gives {what happened, cursor}: fired |
-- moved (also: the job is there already) | paused | skipped | behind (the cursor is another) | memory.
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
if kept_of(schedule, 'paused') then
    return {'paused', ARGV[4]} -- BREAK:paused_fires_nothing
end
if ARGV[6] == '1' then
    local last = kept_of(schedule, 'last')
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
make_job(name, now, 7)
redis.call('HSET', T .. 'c', schedule .. ':last', name, schedule .. ':at', ARGV[4])
redis.call('HINCRBY', T .. 'c', schedule .. ':runs', 1)
return {'fired', ARGV[4]}
