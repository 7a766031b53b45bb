-- with: _order.lua
-- A message of another epoch whose record is gone: everything was lost, and the message carries what accept wrote.
-- ARGV: 1 epoch, 2 name, 3 '1' an attempt was made, perhaps, 4 in-doubt policy, 5 lease in ms, 6 lost_after in ms, 7 record_ms,
-- 8 due, 9 the job's own deadline, 10 its synchronous caller's (times of the store, 0 none), 11 key, 12 fingerprint, 13 class,
-- 14 created, 15 reply channel or '', 16... further fields.
-- Gives {what}: there (look again) | queued (written anew) | ended (duplicate, or past its deadline: written) | hold (in doubt:
-- shelve it) | settling | memory.
local name, was_attempted, key, fingerprint = ARGV[2], ARGV[3] == '1', ARGV[11], ARGV[12]
local due, own, callers = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local now = now_ms()
if tenant.get('ep') ~= EPOCH then
    return {'memory'}
end
if redis.call('EXISTS', job(name)) == 1 then
    return {'there'}
end
note_life(now)
if was_attempted and settling_ms(now, tonumber(ARGV[5])) > 0 then
    return {'settling'}
end

-- All but a synchronous caller's may have had its 202: nobody's hang-up ends it.
local is_promised = ARGV[13] ~= 'sync' or callers == 0

local function write(state, ...)
    redis.call('HSET', job(name), 'st', state, 'cl', ARGV[13], 'fp', fingerprint, 'k', key, 'ca', ARGV[14], 'al', '0', 'xa', ARGV[9],
               'n', '0', 'o2', is_promised and '1' or '0', unpack(ARGV, 16))
    redis.call('HSET', job(name), ...)
end

local function ended(state, ...)
    write(state, 'ea', int(now), 'ex', '0', 'due', '0', 'cnt', '0', ...)
    redis.call('PEXPIRE', job(name), ARGV[7])
    return {'ended'}
end

local held = key ~= '' and redis.call('GET', T .. 'k:' .. key)
if held and held ~= name then
    key = ''
    if redis.call('HGET', job(held), 'fp') == fingerprint then
        return ended('canceled', 'er', 'duplicate_of', 'nt', 'duplicate of ' .. string.sub(T, 2, -3) .. '.' .. held) -- BREAK:one_key_one_job_rebuilt
    end
end
local deadline = own
if ARGV[13] == 'sync' and callers > 0 then
    deadline = callers
end
if not was_attempted and deadline > 0 and now >= deadline then
    return ended('expired', 'er', 'expired')
end
if was_attempted and ARGV[4] ~= 'retry' then
    return {'hold'} -- BREAK:rebuilt_in_doubt_is_held
end
if key ~= '' then
    redis.call('SET', T .. 'k:' .. key, name) -- BREAK:key_with_record
end
local is_due = due <= now
write(is_due and 'queued' or 'scheduled', 'ex', int(deadline), 'due', is_due and '0' or int(due), 'cnt', was_attempted and '1' or '0',
      'db', was_attempted and '1' or '0', 'rc', ARGV[15] ~= '' and (ARGV[15] .. '|-') or '')
next_check(name, deadline, now, math.max(now, due) + tonumber(ARGV[6]))
local ok = redis.call('HGET', job(name), 'ok') or ''
if was_attempted then
    stand_second(name, ok) -- only the first is attempted
elseif ok ~= '' then
    stand_at(name, ok, math.max(tonumber(ARGV[14]), due) * 1000) -- the places are gone; the next best is the time
end
if not is_due then
    redis.call('ZADD', T .. 'w', int(due), name)
end
return {'queued'}
