-- with: _order.lua
-- ARGV: 1 epoch, 2 lost_after in ms, 3 '1': the tenant's work queues were seen empty, 4 record_ms,
-- 5 window_ms, 6 result_ms, 7 brief_ms, 8 '1': there is no worker, '0': there is, '': who asks does not know, 9 ms that are soon.
-- The leader's round over one tenant, bounded in work:
-- frees slots whose end has passed and whose holder is dead or no longer runs the attempt; undoes
-- accepts whose lease is over; ends what waits past its deadline; suspects what is overdue by lost_after
-- without a delivery seen, and with empty queues takes it for lost; wakes the first of a line that nobody woke.
-- Gives {slots freed, accepts undone, unended, running, in doubt, delayed, outbox, age of the oldest that
-- waits in ms, checked, ended past their deadline, suspects, lost, on the shelf, waiting for their own key, offloaded, delayed but due
-- soon, calls that nobody has claimed, ms since an attempt ended (-1: none of late), ms that attempts take, of those that wait for their own
-- key: out of turn}.
local LOOKS = 100
local SUSPECTS = 10000
local GRACE = 5000 -- a waiting caller's own ingress comes first, to expire it or to give 202
local now = now_ms()
local lost_after = tonumber(ARGV[2])
local freed, undone, expired, lost = 0, 0, 0, 0
local t = tenant.know({'swc', 'la', 'gn', 'gs', 'run', 'ind', 'ld', 'sl'})
note_life(now)
tenant.put('la', ARGV[2])
local cursor = t.swc or '0'
local page = redis.call('HSCAN', T .. 's', cursor, 'COUNT', 200)
tenant.put('swc', page[1])
for i = 1, #page[2], 2 do
    local finish_at, worker = string.match(page[2][i + 1], '^(%d+)\t(.-)\t')
    local name, n, token = string.match(page[2][i], '^(.-):(%d+):(.*)$')
    if tonumber(finish_at) < now then -- BREAK:slot_outlives_lease
        local r = read(name)
        -- An offloaded job's slot ends by time: nobody runs it.
        local is_run = r and r.st == 'running' and r.of ~= '1' and r.n == tonumber(n) and r.tk == token
        if not is_run or is_dead(worker) then
            free_slot(name, n, token)
            freed = freed + 1
        end
    end -- BREAK:slot_outlives_lease
end

-- Overdue by lost_after, and no delivery seen since; a running job since its slot's end, when whoever ran it has given up. What is
-- in the outbox is published until it is confirmed.
local function is_suspect(name, r)
    if r.st == 'in_doubt' or FINAL[r.st] or r.st == 'accepted' or now < overdue_since(r) + lost_after then
        return false
    end
    if redis.call('ZSCORE', T .. 'o', name) then return false end -- BREAK:outbox_is_not_lost
    if r.oo == '1' then return false end -- BREAK:out_of_turn_is_not_lost
    return true
end

-- A job whose next check has come, and which is not 'accepted'.
local function check(name, r)
    if r.st == 'in_doubt' then
        unended.put(name, now + math.max(lost_after, 3600000))
        return
    end
    local over = r.ex > 0 and now >= r.ex
    if over and r.st ~= 'running' and r.db ~= '1' then
        if r.rc ~= '' and now < r.ex + GRACE then
            unended.put(name, r.ex + GRACE)
            return
        end
        end_overdue(name, r, now, keeping(r, ARGV, 4)) -- BREAK:overdue_expires
        expired = expired + 1
        return
    end
    local at = overdue_since(r) + lost_after
    if is_suspect(name, r) then
        redis.call('ZADD', T .. 'l', int(now), name)
    end
    at = at > now and at or now + lost_after
    if over and r.st == 'running' then
        at = math.min(at, now + 60000) -- soon over, perhaps to wait again
    end
    next_check(name, r.ex, now, at)
end

local names = redis.call('ZRANGEBYSCORE', T .. 'u', '-inf', int(now), 'LIMIT', 0, LOOKS)
for _, name in ipairs(names) do
    local r = read(name)
    if not r then
        unended.drop(name)
    elseif r.st == 'accepted' and may_have_been_marked(name) then
        stand(name, r, now, lost_after)
    elseif r.st == 'accepted' then
        withdraw(name, r, now) -- BREAK:sweep_undoes_accepts
        undone = undone + 1
    else
        check(name, r)
    end
end

-- A message that waits in a queue is no lost one, however long: suspects are judged only when the queues
-- are empty. What was claimed, seen or ended meanwhile is no suspect any more.
local suspects = redis.call('ZRANGE', T .. 'l', 0, LOOKS - 1)
if ARGV[3] ~= '1' then suspects = {} end -- BREAK:backlog_is_not_lost
for _, name in ipairs(suspects) do
    local r = read(name)
    redis.call('ZREM', T .. 'l', name)
    if r and is_suspect(name, r) then
        lose(name, r, now) -- BREAK:lost_is_in_doubt
        lost = lost + 1
    end
end

sweep_lines(now, LOOKS) -- BREAK:lines_are_swept

-- Behind a backlog that never ends suspects are not judged: the oldest go, and are suspected again at their
-- next check.
local n_suspects = redis.call('ZCARD', T .. 'l')
if n_suspects > SUSPECTS then
    redis.call('ZREMRANGEBYRANK', T .. 'l', 0, n_suspects - SUSPECTS - 1)
    n_suspects = SUSPECTS
end

-- With no worker nothing moves, and that says nothing of the tenant (_load.lua).
if ARGV[8] == '1' and not t.sl then
    tenant.put('sl', int(now))
elseif ARGV[8] == '0' and t.sl then
    tenant.drop('sl')
    tenant.put('wk', int(now))
end
local ended_at, took = string.match(t.ld or '', '^(%d+) (%d+)')
local oldest = 0
local n_unended = unended.count()
for _, first in ipairs(redis.call('ZRANGE', T .. 'u', 0, 9)) do
    local v = redis.call('HMGET', job(first), 'st', 'ca', 'due')
    if v[1] and v[1] ~= 'running' and v[1] ~= 'in_doubt' then
        oldest = math.max(oldest, now - math.max(tonumber(v[2] or '0'), tonumber(v[3] or '0')))
    end
end
return {freed, undone, n_unended, tonumber(t.run or '0'), tonumber(t.ind or '0'),
        redis.call('ZCOUNT', T .. 'w', '(' .. int(now), '+inf'), redis.call('ZCARD', T .. 'o'),
        int(oldest), #names, expired, n_suspects, lost, redis.call('ZCARD', T .. 'h'),
        redis.call('ZCOUNT', T .. 'x', int(now), '+inf'), redis.call('ZCARD', T .. 'f'),
        redis.call('ZCOUNT', T .. 'w', '(' .. int(now), int(now + tonumber(ARGV[9] or '0'))),
        redis.call('ZCOUNT', T .. 'y', int(now), '+inf'), ended_at and int(math.max(0, now - tonumber(ended_at))) or '-1', took or '0',
        redis.call('ZCOUNT', T .. 'x', '+inf', '+inf')}
