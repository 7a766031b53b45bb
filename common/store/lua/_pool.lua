-- The tenant's pool: which instance takes the next attempt, and what it waits for if none does. For scripts that say
-- "-- with: _pool.lua", after "-- with: _moods.lua". Nothing here writes.
local function read_tenant()
    local flat = redis.call('HGETALL', KEYS[1])
    local t = {}
    for i = 1, #flat, 2 do
        t[flat[i]] = flat[i + 1]
    end
    return t
end

-- Every instance in the registry's order: name, url, limit (0 none), is_up (healthy and not draining), taken slots.
local function read_pool(t)
    local pool = {}
    for name, url, limit in string.gmatch(t.il or '', '([^\t\n]+)\t([^\t\n]+)\t(%d+)') do
        pool[#pool + 1] = {name = name, url = url, limit = tonumber(limit),
                           is_up = t['up:' .. name] ~= '0' and t['dr:' .. name] ~= '1',
                           taken = tonumber(t['c:' .. name] or '0')}
    end
    return pool
end

local function url_of(pool, name)
    for _, i in ipairs(pool) do
        if i.name == name then
            return i.url
        end
    end
    return ''
end

-- What keeps the whole tenant from taking a call: nil, or reason and the instant at which that may be over.
local function tenant_waits(t, now)
    if t.paused then
        return 'paused', now + 5000
    end
    local mood, till = tenant_mood(t, now)
    if mood then
        return mood, till
    end
    local bound = tonumber(t.tc or '0')
    if bound > 0 and tonumber(t.c or '0') >= bound then
        return 'concurrency', now + 2000
    end
    return nil
end

-- Likewise one instance. What the instance itself lacks comes before what it is too busy for.
local function instance_waits(t, i, now)
    if not i.is_up then
        return 'no_instance', now + 2000
    end
    local mood, till = instance_mood(t, i, now)
    if mood then
        return mood, till
    end
    if i.limit > 0 and i.taken >= i.limit then
        return 'concurrency', now + 2000
    end
    return nil
end

-- Gives the instance that takes the next call, and at which place the round robin goes on; or nil, the reason, and the
-- earliest instant at which one may take it. With several reasons that of the instance which is free first; a reason
-- other than no_instance wins over it.
local function choose(t, pool, now)
    local why, at = tenant_waits(t, now)
    if why then
        return nil, why, at
    end
    local turn = tonumber(t.rr or '0')
    for step = 0, #pool - 1 do
        local i = pool[(turn + step) % #pool + 1]
        local reason, till = instance_waits(t, i, now)
        if not reason then
            return i, (turn + step + 1) % #pool
        end
        local is_better = not why or why == 'no_instance' or (reason ~= 'no_instance' and till < at)
        if is_better then
            why, at = reason, till
        end
    end
    return nil, why or 'no_instance', at or now + 2000
end
