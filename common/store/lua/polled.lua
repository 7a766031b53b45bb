-- What the tenant said when an offloaded job was polled (claim.lua's poll), but for an outcome: that is complete.lua's.
-- ARGV: 1 epoch, 2 name, 3 n seen, 4 token seen, 5 poll seen, 6 the poll's token, 7 word, 8 ms until the next poll.
-- Words: pending, trouble (no complete answer, or one that says nothing of the job), unknown (the tenant has no such job).
-- Gives {what happened, ms}: waiting (poll again after ms) | again, changed (look at the record again).
local TROUBLE_MS = 30000
local name, n, token, word = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[7]
local now = now_ms()
local r = read(name)
if not r then
    return {'changed', '0'}
end
local o = redis.call('HMGET', job(name), 'ofa', 'ofv', 'ofi', 'ofn', 'oft', 'ofz')
local this = ARGV[3] .. ':' .. ARGV[5] .. ':' .. ARGV[6]
if o[1] == this then
    return {o[2], o[3]} -- BREAK:polled_same_token
end
if r.n ~= n or r.tk ~= token or r.of ~= '1' or r.st ~= 'running' or o[4] ~= ARGV[5] then
    return {'changed', '0'} -- BREAK:polled_by_compare
end

local function gave(what, ms, ...)
    redis.call('HSET', job(name), 'ofa', this, 'ofv', what, 'ofi', int(ms), 'ofl', '0', ...)
    return {what, int(ms)}
end

if word == 'unknown' then
    -- It runs there no more, if it ever did: the in-doubt policy decides, at once.
    free_slot(name, ARGV[3], token)
    return gave('again', 0, 'ofx', 'offload_unknown', 'se', int(now))
end
local wait, troubles = tonumber(ARGV[8]), 0
if word == 'trouble' then
    troubles = (tonumber(o[6] or '') or 0) + 1
    wait = math.max(wait, math.min(wait * 2 ^ math.min(troubles, 16), TROUBLE_MS))
end
local due = math.min(now + wait, tonumber(o[5]))
return gave('waiting', math.max(0, due - now), 'ofp', int(due), 'ofn', tonumber(ARGV[5]) + 1, 'ofz', troubles)
