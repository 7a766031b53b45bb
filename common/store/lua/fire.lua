-- with: _order.lua
-- with: _fire.lua
-- ARGV: 1 epoch, 2 schedule, 3 cursor as it was read ('' for a schedule never seen), 4 the new cursor,
-- 5 name of the job ('' to move the cursor only), 6 overlap: what becomes of it while the last fire's job has not ended: allow | skip |
-- queue_one (one waits, at most) | queue_all | cancel_previous (of one that has not started; else skip), 7 max_runs (0: no bound),
-- 8 record_ms of a job that is canceled, from 9 on the job (make_job in _fire.lua; the jobs of queue_* have an ordering key).
-- One script moves the cursor and puts the job into the outbox. Gives {what happened, cursor}: fired |
-- moved (also: the job is there already) | paused | used_up (max_runs) | skipped | behind (the cursor is another) | memory.
local schedule, name, overlap, max_runs = ARGV[2], ARGV[5], ARGV[6], tonumber(ARGV[7])
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
if redis.call('EXISTS', job(name)) == 1 then
    -- Fired by a leader whose cursor the store has forgotten: its message came, or its record stayed. Or backfilled.
    return {'moved', ARGV[4]} -- BREAK:fire_makes_no_job_twice
end
if kept_of(schedule, 'paused') then
    return {'paused', ARGV[4]} -- BREAK:paused_fires_nothing
end
if max_runs > 0 and tonumber(kept_of(schedule, 'runs') or '0') >= max_runs then
    return {'used_up', ARGV[4]} -- BREAK:no_more_than_max_runs
end

local last = kept_of(schedule, 'last')
local is_last_unended = is_unended(last)

local function may_fire()
    if not is_last_unended or overlap == 'allow' or overlap == 'queue_all' then
        return true
    elseif overlap == 'queue_one' then
        local does_one_wait = false
        does_one_wait = is_unended(kept_of(schedule, 'before')) -- BREAK:one_waits_at_most
        return not does_one_wait
    elseif overlap == 'cancel_previous' then
        return cancel_unstarted(last, read(last), now, {'er', 'canceled', 'nt', 'for the next fire'},
                                {record_ms = tonumber(ARGV[8]), window_ms = 0, result_ms = 0})
    end
    return false
end

if not may_fire() then
    redis.call('HINCRBY', T .. 'c', schedule .. ':skipped', 1)
    return {'skipped', ARGV[4]}
end
if is_last_unended then
    redis.call('HSET', T .. 'c', schedule .. ':before', last) -- who ended leaves the one before, which may not have
end
make_job(schedule, 'time', ARGV[4], name, now, 9)
redis.call('HSET', T .. 'c', schedule .. ':last', name, schedule .. ':at', ARGV[4])
redis.call('HINCRBY', T .. 'c', schedule .. ':runs', 1)
return {'fired', ARGV[4]}
