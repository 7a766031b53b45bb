-- How loaded a tenant is: what its attempts take, and how long a job that comes now would wait. For scripts that say
-- "-- with: _load.lua" (and, to look, "-- with: _moods.lua" and "-- with: _pool.lua" before it).
--   {T}:t ld  "<at> <took> <seen> <from> <least> <n> <least before> <n before>": when an attempt last ended, what
--     attempts take (ms, smoothed), of how many that is; since when, the least that a synchronous call took, and of how
--     many; both likewise of the time before
--   {T}:t lq, lqs (of asynchronous jobs, of synchronous ones, which have a queue of their own)  "<since> <looked> <probe> <trend>": since when jobs wait, when that was looked at last, when a caller was last let
--     through although it comes too late, what a job would have waited of late (ms, smoothed). Absent while nobody waits
local FOLLOW_MS, TREND_MS, WINDOW_MS, STALE_MS, PROBE_MS = 2000, 5000, 3000, 10000, 1000
local FEW_WAIT, FEW_SAMPLES, MANY_SAMPLES, BRIEF_MS, STILL_MS, MOST_MS = 2, 3, 20, 100, 1000, 300000
local TOGETHER_MS, FEW_TOGETHER = 400, 8
local WAKES_MS = 60000 -- so long a worker may take to come where there is none

local LOAD = {'at', 'took', 'seen', 'from', 'least', 'n', 'least_before', 'n_before'}
local LOOK = {'since', 'looked', 'probe', 'trend'}

local function named_numbers(text, names)
    local found, i = {at = 0, took = 0, seen = 0, from = 0, least = 0, n = 0, least_before = 0, n_before = 0, since = 0, looked = 0,
                      probe = 0, trend = 0, names = names, is_changed = false}, 1
    for number in string.gmatch(text or '', '%S+') do
        found[names[i]] = tonumber(number)
        i = i + 1
    end
    return found
end

-- What the tenant's hash says under `field`, by the names. Read once a call; what is marked as changed is written at its end.
local function noted(field, names)
    local note = tenant.notes[field]
    if not note then
        note = named_numbers(tenant.get(field), names)
        tenant.notes[field] = note
    end
    return note
end

local function forget_note(field)
    tenant.drop(field)
    tenant.notes[field] = nil
end

at_end[#at_end + 1] = function()
    for field, note in pairs(tenant.notes) do
        if note.is_changed then
            local words = {}
            for i, name in ipairs(note.names) do
                words[i] = int(note[name])
            end
            tenant.put(field, table.concat(words, ' '))
        end
    end
end

-- The window goes on: what is older than two of them says nothing any more.
local function turn_window(l, now)
    if now >= l.from and now - l.from < WINDOW_MS then
        return
    end
    local is_next = now >= l.from and now - l.from < 2 * WINDOW_MS
    l.least_before, l.n_before = is_next and l.least or 0, is_next and l.n or 0
    l.from, l.least, l.n = now, 0, 0
end

-- took: of an attempt that has ended, or nil; call: at least that long took a synchronous one, or nil.
local function note_took(took, call, now)
    local l = noted('ld', LOAD)
    l.is_changed = true
    if took then
        -- After a pause the new one counts most; in a stream of them some twenty count, or four that are quicker.
        local weight = math.max(1 - math.exp(math.min(0, l.at - now) / FOLLOW_MS), took < l.took and 0.25 or 0.05, 1 / (l.seen + 1))
        l.took = l.took + (took - l.took) * weight
        l.at, l.seen = now, math.min(l.seen + 1, MANY_SAMPLES)
    end
    if call then
        turn_window(l, now)
        l.least = l.n == 0 and call or math.min(l.least, call)
        l.n = l.n + 1
    end
end

-- The newest attempt of r has ended.
local function note_attempt(r, now)
    if r.st == 'running' then
        local took = math.max(0, now - r.sa)
        note_took(took, r.cl == 'sync' and took or nil, now)
    end
end

-- A waiting caller's time is over, and its attempt has not ended. What it waited before the attempt counts only where that
-- was no time.
local function note_overdue(r, now)
    if r.st == 'running' and r.cl == 'sync' then
        local before = r.sa - r.ca
        note_took(nil, now - r.sa + (before * 10 < now - r.ca and before or 0), now)
    end
end

-- The least that a synchronous call took of late, and of how many that is.
local function least_of(l, now)
    turn_window(l, now)
    if l.n == 0 or l.n_before == 0 then
        return l.n == 0 and l.least_before or l.least, l.n + l.n_before
    end
    return math.min(l.least, l.least_before), l.n + l.n_before
end

-- What an attempt takes, as far as known. still: so long nothing has ended although jobs wait.
local function takes_ms(l, now, still)
    local is_known = l.seen >= FEW_SAMPLES and now - l.at < math.max(STALE_MS, 2 * l.took)
    local took = is_known and l.took or 0
    return still > STILL_MS and math.max(took, still) or took
end

-- How many of the jobs that come together may go to one worker together, as text: those that it would be over with within TOGETHER_MS, one after
-- the other, while something ended of late and the queue is not half full. Fewer than FEW_TOGETHER are
-- '0': the tenant is not brisk. (Where the machine is busy an attempt takes longer than its tenant does: the bounds are not narrow.)
local function together(now, n_unended, bound)
    local l = noted('ld', LOAD)
    local n = TOGETHER_MS
    n = math.floor(TOGETHER_MS / math.max(1, l.took)) -- BREAK:slow_work_is_spread
    local is_brisk = n >= FEW_TOGETHER and (bound == 0 or n_unended * 2 < bound) and l.seen >= FEW_SAMPLES and now - l.at < FOLLOW_MS
    return is_brisk and int(n) or '0'
end

-- How many calls it takes at a time; math.huge without a limit.
local function calls_at_once(t, pool)
    local sum = 0
    for _, i in ipairs(pool) do
        if i.is_up then
            sum = sum + (i.limit > 0 and i.limit or math.huge)
        end
    end
    local bound = tonumber(t.tc or '0')
    return bound > 0 and math.min(bound, sum) or sum
end

-- When a breaker opens is its policy's; that it is open is stored. A half-open one lets through more than its probes, soon.
local OPEN_AS_STORED = '1 1 1 86400000 1000000'

-- What is known to keep the whole tenant from taking anything, until when; else nil.
local function blocked_until(t, pool, now, is_sync)
    set_moods(t, pool, {breaker = OPEN_AS_STORED}, now)
    local chosen, why, till = choose(t, pool, now, wanted(t, is_sync and 'sync' or '', {}))
    return not chosen and (why == 'cooling' or why == 'breaker') and till or nil
end

-- How long a job that comes now waits until it is claimed. within: ms of its deadline; 0 without one. Gives ms, and true
-- where that is more than anybody can say.
local function queue_ms(l, q, now, waiting, running, within, is_sync, is_asleep)
    local t, pool
    if within > 0 then
        t = tenant.all()
        pool = read_pool(t)
        local till = blocked_until(t, pool, now, is_sync)
        if till and till - now > within then
            return till - now, true
        end
    end
    if is_asleep and now - q.since < WAKES_MS then
        return 0, false -- BREAK:a_sleeping_tenant_wakes
    end
    local still = now - math.max(l.at, q.since)
    if running == 0 and within > 0 and still >= math.max(STILL_MS, within / 2) then
        return still, true -- BREAK:shed_what_stands_still
    end
    local at_once = running
    if running == 0 or now - q.since < FOLLOW_MS then
        t = t or tenant.all()
        at_once = math.max(running, calls_at_once(t, pool or read_pool(t))) -- BREAK:a_burst_is_no_overload
    end
    return at_once > 0 and waiting * takes_ms(l, now, still) / at_once or 0, false
end

-- How many jobs wait before one that comes now. Synchronous ones have a queue of their own, and go first; before another
-- all are, but for those that are not due within the time, and those that wait for their own key or behind their like.
local function waiting_before(now, within, is_sync, n_unended, running, in_doubt)
    if is_sync then
        return redis.call('ZCOUNT', T .. 'y', int(now), '+inf') -- BREAK:calls_have_a_queue_of_their_own
    end
    local waiting = n_unended - running - in_doubt
    if waiting >= FEW_WAIT then
        waiting = waiting - redis.call('ZCOUNT', T .. 'w', '(' .. int(now + within), '+inf')
        waiting = waiting - redis.call('ZCOUNT', T .. 'x', int(now), '+inf')
    end
    return math.max(0, waiting)
end

-- A store that has forgotten something lets nobody claim for a while.
local function is_settling(now)
    local began = tonumber(tenant.get('gs') or '')
    return began ~= nil and now - began < 60000
end

-- A job comes that has so many of its ordering key before it: they run one at a time. Gives as look_at_load after how many ms it may
-- be tried again if that takes longer than it has, else nil.
local function look_at_line(now, within, ahead)
    local wait = ahead * takes_ms(noted('ld', LOAD), now, 0)
    if within == 0 or ahead < FEW_WAIT or is_settling(now) or wait <= within then
        return nil
    end
    return math.min(MOST_MS, math.max(1000, wait - within)), wait, wait -- BREAK:shed_by_its_line
end

local LOOKED_AT = {'ep', 'ld', 'lq', 'run', 'ind', 'gs', 'sl', 'wk'}
local LOOKED_AT_SYNC = {'ep', 'ld', 'lqs', 'run', 'ind', 'gs', 'sl', 'wk'}

-- A job comes. within: the ms until its deadline, 0: it has none.
-- Gives the ms after which it may be tried again if it comes too late (else nil), the ms that it would wait for
-- its answer as far as known, and what that was of late.
local function look_at_load(now, within, is_sync, n_unended)
    local field = is_sync and 'lqs' or 'lq'
    local t = tenant.know(is_sync and LOOKED_AT_SYNC or LOOKED_AT)
    local l, q = noted('ld', LOAD), noted(field, LOOK)
    q.since = math.max(q.since, tonumber(t.wk or '0')) -- BREAK:who_wakes_is_not_slow
    q.since, q.probe = math.min(q.since, now), math.min(q.probe, now)
    local running = tonumber(t.run or '0')
    local waiting = waiting_before(now, within, is_sync, n_unended, running, tonumber(t.ind or '0'))
    local own, samples = least_of(l, now)
    local is_short = waiting < FEW_WAIT or
                     (l.seen >= FEW_SAMPLES and waiting * math.max(l.took, now - l.at) < BRIEF_MS * math.max(1, running))
    local settles = is_settling(now)
    local too_slow = is_sync and within > 0 and samples >= FEW_SAMPLES and own * 1.05 >= within
    if (is_short or settles) and not too_slow then
        if t[field] or q.is_changed then
            forget_note(field)
        end
        local grown = l.n > 0 and l.least or own
        return nil, grown, l.n_before > 0 and l.least_before or grown
    end
    local is_unseen = now - q.looked > FOLLOW_MS -- since when they wait is not known
    if is_unseen or is_short then
        q.since, q.trend = now, is_unseen and 0 or q.trend
    end
    local wait, is_stuck = 0, false
    if not is_short and not settles then
        wait, is_stuck = queue_ms(l, q, now, waiting, running, within, is_sync, t.sl)
    end
    local all, before = wait + own, q.trend
    q.looked = math.min(q.looked, now) -- a clock may be set back
    q.trend = q.trend + (all - q.trend) * (1 - math.exp((q.looked - now) / TREND_MS))
    q.looked = now
    local is_late = false
    is_late = within > 0 and (is_stuck or too_slow or (wait > 0 and all > within)) -- BREAK:shed_what_comes_too_late
    -- That it is no longer too slow is found by those who wait, or else by one who tries.
    if is_late and is_short and now - q.probe >= PROBE_MS then
        q.probe, is_late = now, false -- BREAK:a_probe_goes_through
    end
    if is_sync then
        redis.call('ZREMRANGEBYSCORE', T .. 'y', '-inf', int(now - 3600000)) -- whose record was lost
    end
    q.is_changed = true
    if is_late then
        return math.min(MOST_MS, math.max(1000, all - within, too_slow and own or 0)), all, before
    end
    return nil, all, before
end

-- The same, of those that come in one call. A deadline of its own is looked at by itself.
local function look_once(now, within, is_sync, n_unended)
    if within > 0 then
        return look_at_load(now, within, is_sync, n_unended)
    end
    local seen = is_sync and 'seen as a call' or 'seen'
    local look = tenant.parsed[seen]
    if not look then
        look = {look_at_load(now, within, is_sync, n_unended)}
        tenant.parsed[seen] = look
    end
    return nil, look[2], look[3]
end

-- When there may be room again in a full queue: when a hundredth of it is done.
local function room_ms(now, bound)
    local l = noted('ld', LOAD)
    local ms = math.max(1, bound / 100) * l.took / math.max(1, tonumber(tenant.get('run') or '0'))
    return l.seen == 0 and 5000 or math.min(MOST_MS, math.max(1000, ms))
end
