-- The worker's table "what to do with one delivery": row and action in one.
-- ARGV: 1 epoch, 2 name, 3 token, 4 worker, 5 worker's channel, 6 ms of the attempt's limit and linger,
-- 7 in-doubt policy, 8 most attempts, 9 lease in ms, 10 record_ms, 11 window_ms, 12 result_ms, 13 brief_ms.
-- Gives {verdict, …}:
--   ack state                     superfluous, or ended just now
--   go n instance url slot_end counted rest       rest: ms until the deadline, -1 without one
--   park reason ms                wait on the ladder
--   hold n token reason           in doubt by policy: shelve, naming what was seen
--   used_up n token               dead: likewise
--   wait reason ms                the whole tenant waits (no_slot, no_instance, paused)
--   missing | memory | dead       no record | another epoch | this worker was declared dead
local name, token, worker = ARGV[2], ARGV[3], ARGV[4]
local now = now_ms()
local r = read(name)
if not r then
    return {'missing', int(now)}
end
if FINAL[r.st] or r.st == 'in_doubt' then
    return {'ack', r.st}
end
local keep = keeping(r, ARGV, 10)

local function url_of(t, instance)
    for entry, url in string.gmatch(t.il or '', '([^\t\n]+)\t([^\t\n]+)\t%d+') do
        if entry == instance then
            return url
        end
    end
    return ''
end

local function tenant()
    local flat = redis.call('HGETALL', KEYS[1])
    local t = {}
    for i = 1, #flat, 2 do
        t[flat[i]] = flat[i + 1]
    end
    return t
end

local t = tenant()
if t.ep ~= ARGV[1] then
    return {'memory'}
end
local overdue = r.ex > 0 and now >= r.ex
local rest = r.ex > 0 and int(math.max(0, r.ex - now)) or '-1'
if r.st == 'running' and r.tk == token then
    if r.w ~= worker then
        if redis.call('ZSCORE', T .. 'd', worker) then
            return {'dead'}
        end
        -- Asked again by the next incarnation, nothing sent yet: the lease goes over with it.
        redis.call('HSET', job(name), 'w', worker)
        local field = name .. ':' .. int(r.n) .. ':' .. token
        if redis.call('HEXISTS', T .. 's', field) == 1 then
            redis.call('HSET', T .. 's', field, int(r.se) .. '\t' .. worker .. '\t' .. r.i)
        end
    end
    return {'go', r.n, r.i, url_of(t, r.i), int(r.se), r.cnt, rest} -- BREAK:claim_same_token
end
if redis.call('ZSCORE', T .. 'd', worker) then
    return {'dead'} -- BREAK:dead_cannot_claim
end

if r.st ~= 'running' and overdue then
    if r.db == '1' then
        return {'hold', r.n, r.tk, 'deadline'}
    end
    if r.ls ~= '' then
        local answer = redis.call('GET', T .. 'r:' .. name) or ''
        finish(name, r, 'failed', now, {'os', r.ls, 'er', 'deadline'}, keep, answer)
        return {'ack', 'failed'}
    end
    finish(name, r, 'expired', now, {'er', 'expired'}, keep, '')
    return {'ack', 'expired'}
end

if r.st == 'running' then
    local is_dead = redis.call('ZSCORE', T .. 'd', r.w)
    local lease = tonumber(ARGV[9])
    -- Half a lease at most: what the dead held is given by policy within two.
    local pause = math.max(1000, math.min(r.se + lease - now, lease / 2, 5000))
    if not is_dead and now < r.se + lease then
        return {'park', 'holder', int(pause)} -- BREAK:one_attempt_at_a_time
    end
    if ARGV[7] ~= 'retry' or overdue then
        return {'hold', r.n, r.tk, 'worker_lost'} -- BREAK:no_silent_repeat
    end
    if r.cnt >= tonumber(ARGV[8]) then
        return {'used_up', r.n, r.tk}
    end
elseif r.due > now then
    return {'park', 'due', int(r.due - now)} -- BREAK:retry_waits_until_due
end

if t.paused then
    return {'wait', 'paused', '5000'}
end
local instances = {}
local any_up = false
for entry, url, limit in string.gmatch(t.il or '', '([^\t\n]+)\t([^\t\n]+)\t(%d+)') do
    local up = t['up:' .. entry] ~= '0'
    any_up = any_up or up
    instances[#instances + 1] = {name = entry, url = url, limit = tonumber(limit), up = up,
                                 taken = tonumber(t['c:' .. entry] or '0')}
end
local bound = tonumber(t.tc or '0')
local taken = tonumber(t.c or '0')
local turn = tonumber(t.rr or '0')
local chosen = nil
if bound == 0 or taken < bound then
    for step = 0, #instances - 1 do
        local candidate = instances[(turn + step) % #instances + 1]
        if candidate.up and (candidate.limit == 0 or candidate.taken < candidate.limit) then
            chosen = candidate
            turn = (turn + step + 1) % #instances
            break
        end
    end
end
if not chosen then
    local waiting = t.ww or ''
    if not string.find(waiting, ARGV[5], 1, true) then
        redis.call('HSET', KEYS[1], 'ww', waiting .. ' ' .. ARGV[5])
    end
    return {'wait', any_up and 'no_slot' or 'no_instance', '2000'}
end

local sets = {}
if r.st == 'running' then
    sets = {'a' .. r.n, attempt_row(r, now, '', 'worker_lost'), 'db', '1'}
else
    redis.call('HINCRBY', KEYS[1], 'run', 1)
end
if r.due > 0 then
    redis.call('ZREM', T .. 'w', name)
end
local n = r.n + 1
local slot_end = now + tonumber(ARGV[6])
redis.call('HSET', job(name), 'st', 'running', 'n', n, 'tk', token, 'w', worker, 'i', chosen.name, 'sa', int(now),
           'se', int(slot_end), 'cnt', r.cnt + 1, 'due', '0', unpack(sets))
if chosen.limit > 0 or bound > 0 then
    redis.call('HSET', T .. 's', name .. ':' .. n .. ':' .. token,
               int(slot_end) .. '\t' .. worker .. '\t' .. chosen.name)
    redis.call('HSET', KEYS[1], 'c', taken + 1, 'c:' .. chosen.name, chosen.taken + 1, 'rr', turn)
elseif #instances > 1 then
    redis.call('HSET', KEYS[1], 'rr', turn)
end
return {'go', n, chosen.name, chosen.url, int(slot_end), r.cnt + 1, rest}
