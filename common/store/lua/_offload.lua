-- Offloaded jobs: the tenant works on, no worker holds them. For scripts that say "-- with: _offload.lua".

-- Why an offloaded attempt is in doubt by now, or nil: its time is over, or its tenant does not know it.
local function offload_is_over(name, now)
    local o = redis.call('HMGET', job(name), 'oft', 'ofx')
    if (o[2] or '') ~= '' then
        return o[2]
    end
    if now >= (tonumber(o[1] or '') or 0) then
        return 'offload_over' -- BREAK:offload_ends
    end
    return nil
end

-- What a delivery of an offloaded job does: {'poll', n, token, url, which poll, instance, slot's end, counted} or {'park', 'poll', ms};
-- nil and the reason: it is in doubt. A poll is leased, not locked: a dead worker's is anybody's at once.
local function offload_row(name, r, token, worker, now, lease_ms)
    local why = offload_is_over(name, now)
    if why then
        return nil, why
    end
    local o = redis.call('HMGET', job(name), 'ofu', 'ofn', 'ofk', 'ofw', 'ofl')
    local held_till = tonumber(o[5] or '') or 0
    local poll = {'poll', r.n, r.tk, o[1], o[2], r.i, int(r.se), r.cnt}
    if o[3] == token and held_till > now then
        return poll -- BREAK:poll_same_token
    end
    if held_till > now and not is_dead(o[4] or '') then
        return {'park', 'poll', int(math.min(held_till - now, 2000))} -- BREAK:poll_is_leased
    end
    if now < r.ofp then
        return {'park', 'poll', int(math.min(r.ofp - now, 45000))} -- as the worker's POLL_DELAY_MS
    end
    redis.call('HSET', job(name), 'ofk', token, 'ofw', worker, 'ofl', int(now + lease_ms))
    return poll
end
