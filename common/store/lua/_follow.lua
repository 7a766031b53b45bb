-- A record that follows its message (decision 0015): of a brisk tenant's plain job the message goes first. The record is written by its
-- claim, or once the broker has confirmed, whichever is first. For scripts that say "-- with: _follow.lua".
local YOUNG_MS, AHEAD_MS = 60000, 5000

-- What looks after it from now on, as mark would say.
local function first_check(deadline, now)
    local at = now + lost_after_ms()
    return deadline > now and math.min(deadline, at) or at
end

-- No record, and there will be none but this: a message that is still under way finds it.
local function withdraw_unknown(name, now, keep_ms)
    redis.call('HSET', job(name), 'st', 'canceled', 'er', 'not_accepted', 'ca', int(now), 'ea', int(now))
    redis.call('PEXPIRE', job(name), keep_ms)
end

-- Whether a record that is missing cannot be a forgotten one: its message left in this life of the store, or in this memory of one that
-- keeps what it answered, and less than a minute ago, which every record outlives. created: text.
local function was_never_written(now, epoch, generation, created)
    local at = tonumber(created)
    local is_young = at ~= nil
    is_young = is_young and now - at <= YOUNG_MS and at - now <= AHEAD_MS -- BREAK:only_the_young_follow
    local is_same = is_young
    is_same = is_same and epoch == EPOCH and tenant.get('ep') == EPOCH and (generation == GENERATION or MEMORY == 'k') -- BREAK:only_the_unforgotten_follow
    return is_same
end

-- Pairs of field and value, a line each: the same for most jobs.
local pairs_of = kept(200, function(text)
    local found = {}
    for field, value in string.gmatch(text, '(%a+)\n([^\n]*)\n') do
        found[#found + 1], found[#found + 2] = field, value
    end
    return found
end)

-- A message's claim found no record. text: "<epoch> <generation> <created> <deadline> <class> <waiter or ->", and pairs of field and value, a
-- line each, as workers/calls.c writes it. Gives the record, not written yet, and what is to be written, but for st; or nil.
local function follow(text, now)
    local epoch, generation, created, deadline, class, waiter, rest = string.match(text, '^(%S+) (%d+) (%d+) (%d+) (%a+) (%S+)\n(.*)$')
    if not was_never_written(now, epoch, generation, created) then
        return nil
    end
    local at = tonumber(created)
    local r = setmetatable({st = 'queued', ca = math.min(at, now), cl = class, ex = tonumber(deadline)}, RECORD)
    local sets = {'ca', at <= now and created or int(now), unpack(pairs_of(rest))}
    local n = #sets

    local function set(field, value)
        sets[n + 1], sets[n + 2] = field, value
        n = n + 2
    end

    if r.ex > 0 then set('ex', deadline) end
    if class ~= 'normal' then set('cl', class) end
    if waiter == '-' then
        r.o2 = '1'
        set('o2', '1')
    else
        r.rc = waiter
        set('rc', waiter)
    end
    return r, sets
end

-- It is not granted: it waits.
local function write_following(name, r, sets, now)
    redis.call('HSET', job(name), 'st', 'queued', unpack(sets))
    if r.cl == 'sync' then
        redis.call('ZADD', T .. 'y', int(r.ex > 0 and r.ex or now + 3600000), name)
    end
end
