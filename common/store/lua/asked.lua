-- with: _order.lua
-- What the tenant said when it was asked about attempt n (claim.lua's ask).
-- ARGV: 1 epoch, 2 name, 3 n seen, 4 token seen, 5 question seen, 6 the question's token, 7 word, 8 status,
-- 9 error or '', 10 answer or '', 11 answer's body bytes, 12 ms between two unknowns, 13 record_ms,
-- 14 window_ms, 15 result_ms, 16 brief_ms.
-- Words: known (the answer is the outcome), unknown, pending, unclear (another status), silent (no answer).
-- Gives {what happened, ms}: ended (and whose turn it is now, as complete.lua) | again (it never arrived: claim it) | waiting (ask again after ms) |
-- unclear, silent (shelve it; nothing was changed) | changed (look again).
local SILENT_MS = 3600000
local name, n, token, question, word = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), ARGV[7]
local now = now_ms()
local r = read(name)
if not r then
    return {'changed', '0'}
end
local q = redis.call('HMGET', job(name), 'qn', 'qh', 'qu', 'qt', 'qv', 'qw', 'os')
-- One delivery may ask more than once: its token alone does not name the question.
local this = ARGV[3] .. ':' .. ARGV[5] .. ':' .. ARGV[6]
if q[4] == this then
    return and_whose_turn_it_was(name, {q[5], q[6]}) -- BREAK:asked_same_token
end
local is_late = tonumber(q[1] or '0') ~= question -- another worker's answer to it was first
if r.n ~= n or r.tk ~= token or r.q ~= '1' or (is_late and word ~= 'known') then
    return {'changed', '0'} -- BREAK:asked_by_compare
end
if word == 'unclear' then
    return {'unclear', '0'}
end

local function gave(what, ms, ...)
    redis.call('HSET', job(name), 'qt', this, 'qv', what, 'qw', int(ms), ...)
    return {what, int(ms)}
end

if word == 'known' then
    free_slot(name, ARGV[3], token)
    if ARGV[10] == '' then
        redis.call('DEL', T .. 'r:' .. name) -- an earlier attempt's answer is not this outcome's
    end
    finish(name, r, 'succeeded', now, {'os', ARGV[8], 'ob', ARGV[11], 'er', ARGV[9], 'db', '0'},
           keeping(r, ARGV, 13), ARGV[10])
    gave('ended', 0, 'a' .. n, attempt_row(r, now, ARGV[8], 'asked'))
    return and_whose_turn(name, {'ended', '0'})
end

local heard = tonumber(q[2] or '0')
local first_unknown = tonumber(q[3] or '0')
local apart = tonumber(ARGV[12])
local wait = math.min(60000, 1000 * 2 ^ math.min(question, 6))
if word == 'unknown' then
    local never_arrived = true
    never_arrived = first_unknown > 0 and now - first_unknown >= apart -- BREAK:asked_twice
    if never_arrived then
        free_slot(name, ARGV[3], token)
        leave(name, r)
        redis.call('ZADD', T .. 'w', int(now), name)
        -- A gateway's answer to it is the last one by now, as after a retry.
        local last = (q[7] or '') ~= '' and q[7] or r.ls
        return gave('again', 0, 'due', int(now), 'db', '0', 'os', '', 'ls', last, 'cnt', math.max(0, r.cnt - 1),
                    'a' .. n, attempt_row(r, now, '', 'never_arrived'))
    end
    first_unknown = first_unknown > 0 and first_unknown or now
    wait = math.max(1, first_unknown + apart - now)
elseif word == 'pending' then
    first_unknown = 0
elseif heard > 0 and now - heard >= SILENT_MS then
    return {'silent', '0'}
end
heard = (word ~= 'silent' or heard == 0) and now or heard
redis.call('ZADD', T .. 'w', int(now + wait), name)
return gave('waiting', wait, 'qn', question + 1, 'qh', int(heard), 'qu', int(first_unknown), 'due', int(now + wait))
