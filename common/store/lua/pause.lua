-- ARGV: 1 epoch, 2 schedule, 3 'pause', 'resume' or 'look', 4 note of a pause ('' for the usual one), 5 the moment up to which
-- instants have had their moment to fire: at a resume the cursor stands at it at least, so that nothing is made up, whoever led
-- meanwhile, and what still waits for its moment (jitter) fires.
-- Said twice it changes nothing but the note; a pause after a failure becomes the operator's. Gives {'paused'}, {'goes_on'} or
-- {'memory'}.
local schedule = ARGV[2]
if tenant.get('ep') ~= EPOCH then
    return {'memory'}
end
local paused = redis.call('HGET', T .. 'c', schedule .. ':paused')
if ARGV[3] == 'look' then
    return {paused and 'paused' or 'goes_on'}
end
if ARGV[3] == 'pause' then
    local since, by, note = string.match(paused or '', '^(%d+)\t(%a+)\t(.*)$')
    if not since or by ~= 'operator' or ARGV[4] ~= '' then
        note = ARGV[4] ~= '' and ARGV[4] or note or 'paused'
        redis.call('HSET', T .. 'c', schedule .. ':paused', (since or int(now_ms())) .. '\toperator\t' .. note)
    end
    return {'paused'}
end
if paused then
    redis.call('HDEL', T .. 'c', schedule .. ':paused')
    local cursor = tonumber(redis.call('HGET', T .. 'c', schedule) or '') or math.huge -- of one never seen nothing is made up
    if cursor < tonumber(ARGV[5]) then
        redis.call('HSET', T .. 'c', schedule, ARGV[5]) -- BREAK:resume_makes_nothing_up
    end
end
return {'goes_on'}
