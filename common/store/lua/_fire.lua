-- The jobs of schedules. After _order.lua.

local FIRES_KEPT = 50

-- Of a schedule: one of its fields in {T}:c.
local function kept_of(schedule, field)
    return redis.call('HGET', T .. 'c', schedule .. ':' .. field)
end

local function is_unended(name)
    local st = name and redis.call('HGET', job(name), 'st')
    return st and not FINAL[st]
end

-- A job of the schedule for the instant `at`, with its request in the outbox; kind: time, run or backfill. From ARGV[from] on: shelf
-- head, shelf body, ms until the job's own deadline (0 never), lost_after in ms, fields of the record.
local function make_job(schedule, kind, at, name, now, from)
    local head, body, ttl_ms = ARGV[from], ARGV[from + 1], tonumber(ARGV[from + 2])
    local own = ttl_ms > 0 and now + ttl_ms or 0
    redis.call('HSET', job(name), 'st', 'queued', 'cl', 'normal', 'k', '', 'ca', int(now), 'ex', int(own), 'xa', int(own),
               'due', '0', 'rc', '', 'o2', '1', 'n', '0', 'cnt', '0', unpack(ARGV, from + 4))
    join_line(name, {ok = redis.call('HGET', job(name), 'ok') or '', due = 0}, now)
    next_check(name, own, now, now + tonumber(ARGV[from + 3]))
    redis.call('HSET', T .. 'b:' .. name, 'h', head, 'b', body, 'q', #head + #body)
    tenant.add('sb', #head + #body)
    local fires = T .. 'c:' .. schedule
    redis.call('LPUSH', fires, kind .. ' ' .. at .. ' ' .. int(now) .. ' ' .. name)
    redis.call('LTRIM', fires, 0, FIRES_KEPT - 1) -- BREAK:history_is_bounded
    redis.call('ZADD', T .. 'o', int(now), name) -- BREAK:cursor_with_job
end
