-- The moods of a tenant's instances: cooling down, circuit breaker, adaptive limit. For scripts that say
-- "-- with: _moods.lua", before _pool.lua. Fields of the tenant's hash:
--   cool, cool:<instance>  until when the tenant, or one instance, takes nothing
--   br:<instance>  the breaker:  c <half window> <calls> <failures> <calls of the half window before> <failures of it>
--                                o <until>
--                                h <successes> then <token>=<end> for each probe under way
--   ad:<instance>  the adaptive limit: <limit> <base: the smoothed least latency in ms, 0 unknown> <start of this round>
--                  <answers in it> <the sum of their latencies> <of their squares> <1: the limit was reached in it>
--                  <1: never too high yet>
-- Policies come with each call, as options: breaker "<ratio> <least calls> <window ms> <open ms> <probes>", adaptive
-- "<least> <most>"; without one there is no breaker, and no adaptive limit, whatever is stored.
local DAY = 86400000

local function numbers(text)
    local list = {}
    for word in string.gmatch(text or '', '%S+') do
        list[#list + 1] = tonumber(word)
    end
    return list
end

local function breaker_policy(text)
    local p = numbers(text)
    return p[5] and {ratio = p[1], least = p[2], window = p[3], open = p[4], probes = p[5]} or nil
end

-- --- cooling down ---

-- What keeps the tenant as a whole: nil, or reason and the instant at which it is over.
local function tenant_mood(t, now)
    local till = tonumber(t.cool or '0')
    if till > now then
        return 'cooling', till -- BREAK:cooling_tenant_waits
    end
    return nil
end

-- Never moved earlier: of two answers the later end holds.
local function cool(field, now, ms)
    local till = now + math.min(ms, DAY)
    if till > tonumber(tenant.get(field) or '0') then -- BREAK:cooling_never_earlier
        tenant.put(field, int(till))
    end -- BREAK:cooling_never_earlier
end

-- --- the circuit breaker ---

-- {state, …}: closed at, calls, failures, calls_before, failures_before; open till; half probes {token = end}, successes.
local function read_breaker(text, now)
    local state, rest = string.match(text or '', '^(%a) ?(.*)$')
    if state == 'o' then
        return {state = 'open', till = tonumber(rest)}
    end
    if state == 'h' then
        local b = {state = 'half_open', successes = tonumber(string.match(rest, '^%d+')), probes = {}, n = 0}
        for token, ends in string.gmatch(rest, '(%S+)=(%d+)') do
            if tonumber(ends) > now then -- a lost probe blocks nothing for ever
                b.probes[token] = ends
                b.n = b.n + 1
            end
        end
        return b
    end
    local n = numbers(rest)
    return {state = 'closed', at = n[1] or 0, calls = n[2] or 0, failures = n[3] or 0, calls_before = n[4] or 0,
            failures_before = n[5] or 0}
end

local function write_breaker(instance, b)
    local text
    if b.state == 'open' then
        text = 'o ' .. int(b.till)
    elseif b.state == 'half_open' then
        text = 'h ' .. int(b.successes)
        for token, ends in pairs(b.probes) do
            text = text .. ' ' .. token .. '=' .. ends
        end
    else
        text = string.format('c %.0f %d %d %d %d', b.at, b.calls, b.failures, b.calls_before, b.failures_before)
    end
    tenant.put('br:' .. instance, text)
end

-- What is shown: an open one whose time is over lets probes through.
local function breaker_word(text, now)
    local b = read_breaker(text, now)
    return b.state == 'open' and b.till <= now and 'half_open' or b.state
end

-- --- the adaptive limit ---

local function adaptive_of(text, least, most)
    local n = numbers(text)
    local a = {limit = n[1] or least, base = n[2] or 0, since = n[3] or 0, n = n[4] or 0, sum = n[5] or 0,
               squares = n[6] or 0, is_used = n[7] == 1, is_new = n[8] ~= 0}
    a.limit = math.max(least, math.min(most, a.limit))
    return a
end

-- A round: answers of calls that were begun in it, about as many as the limit.
local function new_round(a, now)
    a.since, a.n, a.sum, a.squares, a.is_used = now, 0, 0, 0, false
end

-- Too many at a time: less, once a round. What was begun before says nothing about the new limit.
local function lower(a, now, factor)
    a.limit = a.limit * factor
    a.is_new = false
    new_round(a, now)
end

-- The end of a round: the mean of its latencies against the least mean so far; a tenth above it is too much, and what
-- the mean may be wrong by. Decreased on latency it goes to below
-- the knee, so that the queue in the tenant drains and the base is measured again; the base drifts up slowly, so that a
-- tenant that has become slower for good is not throttled for ever.
local function judge_round(a, now)
    local mean = a.sum / a.n
    if a.base == 0 or mean < a.base then
        a.base = mean
    else
        a.base = a.base + (mean - a.base) * 0.02
    end
    local error = math.sqrt(math.max(0, a.squares / a.n - mean * mean) / a.n)
    if mean > math.max(a.base * 1.1, a.base + 1) + error then
        lower(a, now, math.max(0.5, 0.95 * a.base / mean)) -- BREAK:adaptive_feels_latency
        return
    end
    if a.is_used then
        a.limit = a.limit + (a.is_new and math.max(1, a.limit / 4) or 1)
    end
    new_round(a, now)
end

-- word: good (answered), busy (429, 503, no answer in time) or none. taken: calls at the instance, this one among them.
local function adapt(instance, policy, word, began, taken, took, now)
    local p = numbers(policy)
    if not p[2] or (word ~= 'good' and word ~= 'busy') then
        return
    end
    local a = adaptive_of(tenant.get('ad:' .. instance), p[1], p[2])
    a.since = a.since > now and began or a.since -- a clock may be set back
    if began < a.since then
        return
    end
    if word == 'busy' then
        lower(a, now, 0.9)
    else
        a.n, a.sum, a.squares = a.n + 1, a.sum + took, a.squares + took * took
        a.is_used = a.is_used or taken >= math.floor(a.limit) * 0.8
        if a.n >= math.max(5, math.min(50, a.limit)) then
            judge_round(a, now)
        end
    end
    a.limit = math.max(p[1], math.min(p[2], a.limit))
    tenant.put('ad:' .. instance,
               string.format('%.2f %.2f %.0f %d %.0f %.0f %d %d', a.limit, a.base, a.since, a.n, a.sum, a.squares,
                             a.is_used and 1 or 0, a.is_new and 1 or 0))
end

-- --- for whoever chooses an instance ---

local CLOSED = {state = 'closed'}

-- Lays the moods over what read_pool gave: the limit that holds, and the breaker where there is one.
local function set_moods(t, pool, opt, now)
    if not opt.breaker and not opt.adaptive then
        return
    end
    local breaker = breaker_policy(opt.breaker)
    local adaptive = numbers(opt.adaptive)
    for _, i in ipairs(pool) do
        if adaptive[2] then
            local found = tonumber(string.match(t['ad:' .. i.name] or '', '^%S+')) or adaptive[1]
            found = math.floor(math.max(adaptive[1], math.min(adaptive[2], found)))
            i.limit = i.limit > 0 and math.min(i.limit, found) or found
            i.found = found
        end
        if breaker then
            local text = t['br:' .. i.name]
            -- With a thousand instances: a closed one is not read.
            i.breaker = text and string.byte(text) ~= 99 and read_breaker(text, now) or CLOSED
            i.probes = breaker.probes
            if i.breaker.till then
                i.breaker.till = math.min(i.breaker.till, now + breaker.open) -- by what the policy says now
            end
        end
    end
end

-- What keeps an instance from taking a call: nil, or reason and the instant at which that may be over.
local function instance_mood(t, i, now)
    local reason, at
    local till = tonumber(t[i.cool] or '0')
    if till > now then
        reason, at = 'cooling', till -- BREAK:cooling_instance_waits
    end
    local b = i.breaker
    if not b or b.state == 'closed' then
        return reason, at
    end
    if b.state == 'open' and b.till > math.max(now, at or 0) then
        reason, at = 'breaker', b.till -- BREAK:open_breaker_refuses
    end
    if b.state == 'half_open' and b.n + b.successes >= i.probes and (at or 0) < now + 2000 then
        reason, at = 'breaker', now + 2000 -- BREAK:probes_are_few
    end
    return reason, at
end

-- Behind a breaker that is not closed: how many probes may be sent. nil: it is none of the breaker's business.
local function probes_left(i)
    local b = i.breaker
    if not b or b.state == 'closed' then
        return nil
    end
    return math.max(0, i.probes - (b.n or 0) - (b.successes or 0))
end

-- A claim was given out: behind an open breaker it is a probe.
local function take_probe(i, token, now, ends)
    local b = i.breaker
    if not b or b.state == 'closed' then
        return
    end
    if b.state == 'open' then
        b = {state = 'half_open', successes = 0, probes = {}}
    end
    b.probes[token] = int(ends)
    write_breaker(i.name, b)
end

-- A probe's outcome will never be said: its worker is dead. Whatever becomes of its job, another may try.
local function drop_probe(t, instance, token, now)
    local b = read_breaker(t['br:' .. instance], now)
    if b.state == 'half_open' and b.probes[token] then
        b.probes[token] = nil
        write_breaker(instance, b)
        wake_waiting()
    end
end

-- --- for whoever ends an attempt ---

local function count_call(b, p, is_failure, now)
    local half = math.floor(now / (p.window / 2))
    if half ~= b.at then
        local follows = half == b.at + 1
        b.calls_before, b.failures_before = follows and b.calls or 0, follows and b.failures or 0
        b.at, b.calls, b.failures = half, 0, 0
    end
    b.calls = b.calls + 1
    b.failures = b.failures + (is_failure and 1 or 0)
    local calls, failures = b.calls + b.calls_before, b.failures + b.failures_before
    return calls >= p.least and failures >= p.ratio * calls
end

-- word: good, bad, or none (it says nothing about the instance).
local function judge_breaker(instance, p, word, token, now)
    local b = read_breaker(tenant.get('br:' .. instance), now)
    word = (word == 'good' or word == 'bad') and word or 'none'
    local was_half_open, is_open = b.state == 'half_open', false
    if b.state == 'open' then
        return -- a call from before
    elseif b.state == 'half_open' then
        if not b.probes[token] then
            return -- likewise
        end
        b.probes[token] = nil
        b.successes = b.successes + (word == 'good' and 1 or 0)
        is_open = word == 'bad'
    elseif word ~= 'none' then
        is_open = count_call(b, p, word == 'bad', now)
    end
    if is_open then
        b = {state = 'open', till = now + p.open} -- BREAK:breaker_opens
    elseif b.state == 'half_open' and b.successes >= p.probes then
        b = {state = 'closed', at = 0, calls = 0, failures = 0, calls_before = 0, failures_before = 0}
    end
    if was_half_open then
        wake_waiting() -- there is room for a probe, or for all
    end
    if was_half_open or word ~= 'none' then
        write_breaker(instance, b)
    end
end

-- The answer of a probe whose job had ended before it: the breaker waits for it.
local function settle_probe(instance, opt, token, now)
    local p = breaker_policy(opt.breaker)
    local field = 'br:' .. instance
    local b = p and read_breaker(tenant.get(field), now)
    if b and b.state == 'half_open' and b.probes[token] then
        judge_breaker(instance, p, opt.call or 'none', token, now)
    end
end

-- What the end of attempt r says of its instance. Options: cool (ms) and cools ('tenant'), breaker and call
-- (good | bad | none), adaptive, load (good | busy | none) and took (ms). held: '1' when its slot was just freed.
local function feel(r, token, opt, held, now)
    local is_cooling = (tonumber(opt.cool or '0')) > 0
    if r.i == '' or not (is_cooling or opt.breaker or opt.adaptive) then
        return
    end
    local cooled = opt.cools == 'tenant' and 'cool' or 'cool:' .. r.i
    if is_cooling then
        cool(cooled, now, tonumber(opt.cool))
    end
    local policy = breaker_policy(opt.breaker)
    if policy then
        judge_breaker(r.i, policy, opt.call or 'none', token, now)
    end
    local taken = tonumber(opt.adaptive and tenant.get('c:' .. r.i) or '0') + (held == '1' and 1 or 0)
    adapt(r.i, opt.adaptive, opt.load, r.sa, taken, tonumber(opt.took or '0'), now)
end
