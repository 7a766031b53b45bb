-- What every script stands on. Prepended to each file.
--
-- KEYS[1] is '{tenant}:t', the tenant's hash; all other keys of the tenant are named from its tag:
--   {T}:t  hash    ep epoch, il instances and pol policy (_pool.lua), tc concurrency, c slots
--                  taken, c:<instance> likewise, up:<instance> '0' when out, run running jobs, ind jobs in
--                  doubt, sb bytes on the shelf, rr round robin, ww channels of workers without a slot,
--                  la after how many ms without a delivery an overdue job counts as lost
--                  cs slots of waiting callers' work, ws and wn until when that and the other work waits, sg the latter's credit,
--                  tat, tat:<instance> rates, ew:<instance> latency, sw smooth weights
--   {T}:j:<name>   hash, the job's record (below)        {T}:r:<name>  its stored answer
--   {T}:k:<key>    the name of the job that holds the key
--   {T}:u  zset    unended jobs by next check            {T}:w  zset   not yet due, by due time
--   {T}:s  hash    slots: "<name>:<n>:<token>" -> slot_row()
--   {T}:p  hash    how many slots each key of per_key has
--   {T}:d  zset    dead workers (incarnations)           {T}:h  zset   names on the shelf, by time
--   {T}:o  zset    outbox: names by time                 {T}:b:<name>  hash, stored request: h, b, q; t '1' a turn
--                                                        that has come: as it was accepted, not run again
--   {T}:y  zset    synchronous jobs that nobody has claimed yet, by their callers' deadline
--   {T}:f  zset    offloaded jobs that run, by when they were offloaded, or found again
--   {T}:l  zset    suspects: names of overdue jobs whose message may be lost, by time
--   {T}:x  zset    jobs that wait for their own key (per_key, or their ordering key) and for nobody else, by until when that is believed
--   {T}:c  hash    schedules: <schedule> -> last instant, <schedule>:last -> last job's name, :before the one before it that had not ended, :at the last fire's instant, :runs fires,
--                  :skipped, :paused "<since> TAB <by: operator or failure> TAB <note>"
--   {T}:c:<schedule>  list, its last fires, the newest first: "<time|run|backfill> <instant> <when> <name>"
--   {T}:q:<ordering key>  zset, its unended jobs by place; {T}:qk zset of these keys: _order.lua
--   of {T}:t also: cool, cool:<instance>, br:<instance>, ad:<instance> (_moods.lua); ql the last place given under an ordering key;
--   gn the store's generation that was last seen here, gs when one began that may have forgotten something;
--   sl since when there is no worker, wk since when there is one again (sweep.lua)
--
-- A record: st state, cl class (sync|normal), k key, with it fp fingerprint and al accept lease's end, cr caller, m method, p path,
--   ca created, ea ended, due, ex latest deadline of its callers (0 never), xa
--   its own (0 never), o2 '1' once a 202 was given, rc waiters ("channel|waiter" by spaces), n newest
--   attempt, tk its token, w its worker, i its instance, sa its start, se its slot's end, cnt counted
--   attempts, db '1' while an attempt is in doubt, ls status of the last answer, os outcome status,
--   ob its bytes, er error, dn "<n>:<token>" last completed, dv what that gave, sh '1' on the shelf,
--   wn '1' its caller takes a 202 when its wait is over (Prefer: wait=N),
--   sn a delivery was last seen (written only when it is long overdue), dp dropped from the shelf,
--   uc answers that cooled and were not counted,
--   a<n> attempt rows "instance \t start \t end \t status \t error", lb labels (JSON).
--   pf the schedule that its failure pauses,
--   ok ordering key, nx whose turn it was when this one ended "name at", oo '1' out of turn: its request waits on the shelf for the jobs before it (_order.lua).
--   While the tenant is asked what became of attempt n (policy ask; state waiting, db '1'): q '1', qn questions
--   answered or given up, qh when it was last heard of (at first: when the first question was over), qu when it
--   was first unknown there. Of the last question, for good: qt "<n>:<question>:<token>", qv what it gave, qw its wait in ms.
--   Offloaded (attempt n was answered with a pending status; state running, no worker holds it; _offload.lua): of '1', ofu the URL to
--   poll ('': its tenant will post the outcome), oft till when at most, ofp the next poll's time, ofn polls answered, ofz failed ones in a
--   row, ofx why it is in doubt by now. The poll's lease: ofk token, ofw worker, ofl end. Of the last answer, for good: ofa
--   "<n>:<poll>:<token>", ofv what it gave, ofi its wait in ms. ofd "<n>:<token>" of the attempt that was offloaded last, cd
--   "<n>:<token>:<digest>" of the outcome that a tenant posted.
local FINAL = {succeeded = true, failed = true, expired = true, canceled = true}

local last = {tag = '', name = '', key = ''}

local function job(name)
    if name ~= last.name or T ~= last.tag then
        last.tag, last.name, last.key = T, name, T .. 'j:' .. name
    end
    return last.key
end

-- A record without a field. Nothing that is as it says here needs to be written.
local BLANK = {st = false, n = 0, sa = 0, se = 0, due = 0, ex = 0, xa = 0, cnt = 0, al = 0, ca = 0, sn = 0, ofp = 0,
               tk = '', w = '', i = '', k = '', rc = '', cl = 'normal', db = '', ls = '', dn = '', dv = '', sh = '', o2 = '', fp = '',
               ps = '', q = '', er = '', ok = '', oo = '', of = '', pf = ''}
local RECORD = {__index = BLANK}

-- The record as a table, numbers as numbers (0 when absent); nil when there is none.
local function read(name)
    local flat = redis.call('HGETALL', job(name))
    local r = {}
    for i = 1, #flat, 2 do
        local field = flat[i]
        local default = BLANK[field]
        if default == 0 then
            r[field] = tonumber(flat[i + 1]) or 0
        elseif default ~= nil then
            r[field] = flat[i + 1]
        end
    end
    return r.st and setmetatable(r, RECORD) or nil
end

local LIFE = {'gn', 'gs'}

-- Notes in which life of the store this is.
local function note_life(now)
    if tenant.parsed.life == whose then
        return
    end
    tenant.parsed.life = whose
    local t = tenant.know(LIFE)
    local known = tonumber(t.gn or '') or 0
    local generation = tonumber(GENERATION) or 0
    local is_new = generation > known
    if is_new then
        tenant.put('gn', int(generation))
    end
    local has_lost = false
    has_lost = (tonumber(FORGOT or '') or 0) > known -- BREAK:loss_settles
    if (is_new and (MEMORY == 'f' or MEMORY == 'l')) or has_lost or (MEMORY == 'l' and not t.gs) then
        tenant.put('gs', int(now))
    end
end

-- After how long without a delivery an overdue job counts as lost.
local function lost_after_ms()
    return tonumber(tenant.get('la') or '3600000')
end

-- Of a worker that was declared dead. Nobody dies within a call.
local function is_dead(worker)
    local dead = tenant.parsed.dead or {}
    tenant.parsed.dead = dead
    if dead[worker] == nil then
        dead[worker] = redis.call('ZSCORE', T .. 'd', worker) and true or false
    end
    return dead[worker]
end

-- For one lease after the store may have forgotten something nobody claims and nobody judges: the workers
-- register again what they run. Gives the ms that are left.
local function settling_ms(now, lease_ms)
    return math.max(0, (tonumber(tenant.get('gs') or '') or -lease_ms) + lease_ms - now)
end

-- An accept from before a life that may have forgotten its mark: it may have had its 202, so that nobody undoes it.
local function may_have_been_marked(name)
    local began = tonumber(tenant.get('gs') or '')
    local may = false
    may = began ~= nil and tonumber(redis.call('HGET', job(name), 'ca')) <= began -- BREAK:forgotten_mark_stands
    return may
end

-- Tells every ingress that waits: "job <id> <state> <attempts> <1: the answer rides along>\n<answer>". A
-- small answer rides along, so that nobody needs to read it.
local function announce(name, r, state, answer)
    if r.rc == '' then
        return
    end
    local told = {}
    for channel in string.gmatch(r.rc, '([^%s|]+)|%S+') do
        if not told[channel] then
            told[channel] = true
            local ride = answer ~= '' and #answer <= 16384
            redis.call('PUBLISH', channel, 'job ' .. string.sub(T, 2, -3) .. '.' .. name .. ' ' .. state .. ' ' .. int(r.n) .. (ride and ' 1\n' or ' 0\n') ..
                       (ride and answer or ''))
        end
    end
end

-- A job that ended without a sent attempt frees its key; else the window runs from its end.
local function release_key(name, r, window_ms)
    if r.k == '' then
        return
    end
    local key = T .. 'k:' .. r.k
    if redis.call('GET', key) ~= name then
        return
    end
    local is_unsent = r.cnt == 0
    is_unsent = is_unsent and r.ps ~= '1' -- BREAK:sent_keeps_its_key
    if is_unsent then
        redis.call('DEL', key)
    else
        redis.call('PEXPIRE', key, window_ms)
    end
end

-- It waits out of turn no longer (_order.lua).
local function come_into_turn(name)
    redis.call('HDEL', job(name), 'oo')
    redis.call('ZREM', T .. 'x', name) -- BREAK:out_of_turn_is_counted
end

local function unshelve(name)
    local size = redis.call('HGET', T .. 'b:' .. name, 'q')
    if size then
        tenant.add('sb', -tonumber(size))
    end
    redis.call('DEL', T .. 'b:' .. name)
    redis.call('ZREM', T .. 'h', name)
    redis.call('ZREM', T .. 'o', name)
    redis.call('HDEL', job(name), 'sh')
    come_into_turn(name)
end

-- Its place under its ordering key: in _order.lua, which every script names that takes or gives up places.
local join_line, leave_line

local function stop_asking(name, r)
    if r.q == '1' then
        redis.call('HDEL', job(name), 'q', 'qn', 'qh', 'qu')
    end
end

local function stop_polling(name, r)
    if r.of == '1' then
        redis.call('ZREM', T .. 'f', name)
        redis.call('HDEL', job(name), 'of', 'ofu', 'oft', 'ofp', 'ofn', 'ofz', 'ofx', 'ofk', 'ofw', 'ofl')
    end
end

-- Leaves whatever counted it: the running, the in doubt, those that wait for their key, the delayed, the asked about, the polled.
local function leave(name, r)
    if r.st == 'running' then
        tenant.add('run', -1)
    elseif r.st == 'in_doubt' then
        tenant.add('ind', -1)
    else
        redis.call('ZREM', T .. 'x', name)
    end
    if r.due > 0 then
        redis.call('ZREM', T .. 'w', name)
    end
    stop_asking(name, r)
    stop_polling(name, r)
end

-- The tenant will be asked what became of the newest attempt, from its slot's end on.
local function begin_asking(name, r, now, ...)
    leave(name, r)
    r.st, r.db, r.q, r.due = 'waiting', '1', '1', math.max(now, r.se)
    redis.call('HSET', job(name), 'st', 'waiting', 'db', '1', 'q', '1', 'due', int(r.due), ...)
    redis.call('ZADD', T .. 'w', int(r.due), name)
end

-- How long an ended job is kept. An unkeyed synchronous call that was never answered 202 is kept
-- briefly: nobody will ask for it. argv: four numbers from index `at`: record_ms, window_ms, result_ms, and
-- brief_ms for such a call's result.
local function keeping(r, argv, at)
    local keep = {record_ms = setting(argv[at]), window_ms = setting(argv[at + 1]),
                  result_ms = setting(argv[at + 2])}
    local brief = setting(argv[at + 3])
    if r.cl == 'sync' and r.k == '' and r.o2 ~= '1' and brief > 0 then
        keep.record_ms = brief + 60000
        keep.result_ms = brief
    end
    return keep
end

-- The job of a fire ended so that its schedule stands until somebody has looked (pause_on_failure). One that left stays so.
local function pause_after(name, r, state, now)
    -- One that was deleted has no time for a cursor.
    if (state == 'failed' or state == 'expired') and tonumber(redis.call('HGET', T .. 'c', r.pf) or '') then
        redis.call('HSETNX', T .. 'c', r.pf .. ':paused', int(now) .. '\tfailure\tjob ' .. string.sub(T, 2, -3) .. '.' .. name .. ' ' .. state)
    end
end

-- keep: {record_ms, window_ms, result_ms}. sets: further fields (changed here). answer: '' or what was answered.
local function finish(name, r, state, now, sets, keep, answer)
    leave(name, r)
    local n = #sets
    sets[n + 1], sets[n + 2], sets[n + 3], sets[n + 4] = 'st', state, 'ea', int(now)
    if r.rc ~= '' then
        sets[n + 5], sets[n + 6] = 'rc', ''
    end
    redis.call('HSET', job(name), unpack(sets))
    unended.drop(name)
    if r.cl == 'sync' and r.st ~= 'running' then -- a claim has taken it off
        redis.call('ZREM', T .. 'y', name)
    end
    release_key(name, r, keep.window_ms)
    local record_ms = math.max(keep.record_ms, r.k ~= '' and keep.window_ms or 0)
    redis.call('PEXPIRE', job(name), int(record_ms))
    if answer ~= '' then
        local result_ms = math.max(keep.result_ms, r.k ~= '' and keep.window_ms or 0)
        redis.call('SET', T .. 'r:' .. name, answer, 'PX', int(result_ms))
    elseif r.ls ~= '' or r.st == 'in_doubt' then
        redis.call('PEXPIRE', T .. 'r:' .. name, int(keep.result_ms))
    end
    announce(name, r, state, answer)
    if r.ok ~= '' then leave_line(name, r, now) end -- BREAK:end_gives_up_place
    if state ~= 'succeeded' and r.pf ~= '' then pause_after(name, r, state, now) end -- BREAK:failure_pauses
end

-- What was not started ends as canceled; false: it has started, or ended. sets, keep: as finish takes them.
local function cancel_unstarted(name, r, now, sets, keep)
    local is_started = false
    is_started = FINAL[r.st] or r.st == 'running' or r.st == 'in_doubt' or r.st == 'accepted' or r.db == '1' -- BREAK:cancel_unstarted_only
    if is_started then
        return false
    end
    finish(name, r, 'canceled', now, sets, keep, '')
    redis.call('ZREM', T .. 'o', name)
    unshelve(name)
    return true
end

-- What nobody promised: it never runs, and its key is free.
local function withdraw(name, r, now)
    finish(name, r, 'canceled', now, {'er', 'not_accepted'},
           {record_ms = 86400000, window_ms = 0, result_ms = 0}, '')
end

local function attempt_row(r, now, status, error)
    return r.i .. '\t' .. int(r.sa) .. '\t' .. int(now) .. '\t' .. status .. '\t' .. error
end

-- Past its deadline and not running, no attempt in doubt: the last attempt's answer, or nothing, is the
-- outcome.
local function end_overdue(name, r, now, keep)
    if r.ls ~= '' then
        local answer = redis.call('GET', T .. 'r:' .. name) or ''
        finish(name, r, 'failed', now, {'os', r.ls, 'er', 'deadline'}, keep, answer)
        return 'failed'
    end
    finish(name, r, 'expired', now, {'er', 'expired'}, keep, '')
    return 'expired'
end

-- The next check: at `at`, or at its deadline if that comes first.
local function next_check(name, ex, now, at)
    unended.put(name, ex > now and math.min(ex, at) or at)
end

-- What mark does, for an accept that may have been marked before the store forgot it: it stands.
local function stand(name, r, now, lost_after)
    r.st = r.due > now and 'scheduled' or 'queued'
    redis.call('HSET', job(name), 'st', r.st)
    join_line(name, r, now)
    local is_over = r.ex > 0 and r.ex <= now
    next_check(name, r.ex, now, is_over and now or math.max(r.due, now) + lost_after)
    if r.due > now then
        redis.call('ZADD', T .. 'w', int(r.due), name)
    end
end

-- From when on it counts as overdue: it was due then, or a delivery of it was seen.
local function overdue_since(r)
    if r.of == '1' then return math.max(r.ofp, r.sn) end -- BREAK:polls_are_looked_for
    return math.max(r.st == 'running' and r.se or math.max(r.ca, r.due), r.sn)
end

-- Nobody knows where its message is, and the queues are empty. Not on the shelf: nobody has its request.
local function lose(name, r, now)
    local sets = {}
    if r.st == 'running' then
        sets = {'a' .. r.n, attempt_row(r, now, '', 'worker_lost'), 'db', '1'}
    end
    if r.of == '1' then
        redis.call('ZREM', T .. 'f', name)
    end
    r.of = '' -- still offloaded: whatever turns up goes on polling
    leave(name, r)
    tenant.add('ind', 1)
    redis.call('HSET', job(name), 'st', 'in_doubt', 'er', 'message_lost', 'rc', '', unpack(sets))
    announce(name, r, 'in_doubt', '')
end

local function is_lost(r)
    return r.st == 'in_doubt' and r.er == 'message_lost'
end

-- Whoever waits for a slot tries again. Sooner or later it does without this, too.
local function wake_waiting()
    local waiting = tenant.get('ww')
    if waiting and waiting ~= '' then
        tenant.drop('ww')
        for channel in string.gmatch(waiting, '%S+') do
            redis.call('PUBLISH', channel, 'slot ' .. string.sub(T, 2, -3))
        end
    end
end

-- A slot's row: end, worker, instance, 's' for a waiting caller's work, and the key that counts it, or ''.
local function slot_row(slot_end, worker, instance, kind, key)
    return table.concat({int(slot_end), worker, instance, kind, key}, '\t')
end

local function slot_parts(row)
    return string.match(row, '^(%d+)\t([^\t]*)\t([^\t]*)\t?([^\t]*)\t?(.*)$')
end

-- Frees the slot of (n, token), once, with all that it counts in, and wakes the workers that found none. Says whether it had one.
local function free_slot(name, n, token)
    if not slots.are_used() then
        return false -- as of most tenants: they have no limit
    end
    local field = name .. ':' .. n .. ':' .. token
    local slot = slots.get(field)
    if not slot then
        return false
    end
    local _, _, instance, kind, key = slot_parts(slot)
    slots.drop(field) -- BREAK:slot_freed_once
    tenant.add('c', -1)
    tenant.add('c:' .. instance, -1)
    if kind == 's' then
        tenant.add('cs', -1)
    end
    local is_last = false
    is_last = key ~= '' and redis.call('HINCRBY', T .. 'p', key, -1) <= 0 -- BREAK:key_freed_with_slot
    if is_last then
        redis.call('HDEL', T .. 'p', key)
    end
    wake_waiting()
    return true
end

-- Stores a request among those of the shelf; false when there is no room. limit 0: no bound.
local function keep_request(name, head, body, limit)
    local size = #head + #body
    local held = tonumber(tenant.get('sb') or '0')
    local before = tonumber(redis.call('HGET', T .. 'b:' .. name, 'q') or '0')
    if limit > 0 and held - before + size > limit then
        return false -- BREAK:shelf_is_bounded
    end
    redis.call('HSET', T .. 'b:' .. name, 'h', head, 'b', body, 'q', size)
    redis.call('HDEL', T .. 'b:' .. name, 't')
    tenant.add('sb', size - before)
    return true
end

-- Puts a request on the shelf, for a person; false when the shelf is full.
local function put_on_shelf(name, now, head, body, limit)
    if not keep_request(name, head, body, limit) then
        return false
    end
    redis.call('ZADD', T .. 'h', int(now), name)
    return true
end

-- What is in the outbox is published by whoever put it there, and by the leader until confirmed.
-- The shelf's copy of the request becomes the outbox's.
local function to_outbox(name, r, now, due)
    leave(name, r)
    redis.call('HSET', job(name), 'st', due > now and 'scheduled' or 'queued', 'due', int(due), 'sn', int(now))
    redis.call('HDEL', job(name), 'sh', 'ea', 'er', 'os', 'ob')
    come_into_turn(name)
    redis.call('PERSIST', job(name))
    redis.call('ZREM', T .. 'h', name)
    next_check(name, r.ex, now, math.max(now, due) + lost_after_ms())
    if due > now then
        redis.call('ZADD', T .. 'w', int(due), name)
    end
    redis.call('ZADD', T .. 'o', int(now), name)
end

-- 0 never, else the later one: a deadline is never moved earlier.
local function later(a, b)
    if a == 0 or b == 0 then
        return 0
    end
    return math.max(a, b)
end

-- Runs again, by a person's word, what is on the shelf. It takes its key first.
-- Gives {'queued'}, or {'key_taken', the name of the job that holds it}.
local function run_again(name, r, now, note)
    if r.k ~= '' then
        local held = redis.call('GET', T .. 'k:' .. r.k)
        if held and held ~= name then
            return {'key_taken', held} -- BREAK:redrive_takes_key
        end
        redis.call('SET', T .. 'k:' .. r.k, name) -- BREAK:key_until_end
    end
    to_outbox(name, r, now, 0)
    r.due = 0
    join_line(name, r, now) -- BREAK:redrive_takes_a_place
    -- Attempts are counted anew, numbers go on: the number is the fence.
    redis.call('HSET', job(name), 'cnt', '0', 'ex', '0', 'xa', '0', 'db', '0', 'ls', '', 'o2', '1', 'uc', '0',
               'ps', (r.cnt > 0 or r.ps == '1') and '1' or '0', 'nt', note)
    redis.call('DEL', T .. 'r:' .. name)
    return {'queued', ''}
end
