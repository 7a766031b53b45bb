-- The tenant's pool: which instance takes the next attempt, what it waits for if none does, and what is counted when one does.
-- For scripts that say "-- with: _pool.lua", after "-- with: _moods.lua". What it reads of {T}:t:
--   il   a line an instance: name, url, limit (0 none), priority (0 high, 1 med, 2 low), weight, region, and rate
--        "limit period_ms burst" or '', by tabs; all behind the limit may be absent
--   pol  "word=value" by spaces: balance, sync_share, rate "limit,period_ms,burst", per_key (calls at once of one key)
local WAITS_MS = 6000 -- a lane without room holds for two seconds and rests for three at most: then it asks again
local CALL_MS = 500   -- who waits has so long to come for a slot that is kept free for it
local DECAY_MS = 10000

-- gap: ms between two calls at the even rate; nil without a limit.
local function rate_of(text)
    local limit, period, burst = string.match(text or '', '^([^ ,]+)[ ,]([^ ,]+)[ ,]([^ ,]+)$')
    if not limit then
        return nil
    end
    return {gap = tonumber(period) / tonumber(limit), burst = math.max(1, tonumber(burst))}
end

local policies = kept(10000, function(text)
    local words = {}
    for word, value in string.gmatch(text, '(%S+)=(%S+)') do
        words[word] = words[word] or value
    end
    words.rate_limit = rate_of(words.rate)
    words.share = tonumber(words.sync_share)
    words.key_limit = tonumber(words.per_key) or 0
    return words
end)

-- What the tenant's pol says: its words, and as numbers rate_limit (or nil), share (sync_share, or nil) and key_limit (0 none).
local function policy_of(t)
    return policies(t.pol or '')
end

local pools = kept(20000, function(text)
    local pool = {}
    for line in string.gmatch(text, '[^\n]+') do
        local name, url, limit, priority, weight, region, rate =
            string.match(line, '^([^\t]+)\t([^\t]+)\t(%d+)\t?(%d*)\t?(%d*)\t?([^\t]*)\t?([^\t]*)')
        if name then
            pool[#pool + 1] = {name = name, url = url, own_limit = tonumber(limit), priority = tonumber(priority) or 1,
                               weight = tonumber(weight) or 1, region = region, rate = rate ~= '' and rate_of(rate) or nil,
                               up = 'up:' .. name, dr = 'dr:' .. name, c = 'c:' .. name, given = 'n:' .. name,
                               cool = 'cool:' .. name}
        end
    end
    return pool, #pool + 1
end)

-- Every instance in the registry's order: name, url, limit (0 none), priority, weight, region, rate (or nil),
-- is_up (healthy and not draining), taken slots. The next reading of the same list changes what this one gave.
local function read_pool(t)
    local pool = pools(t.il or '')
    for _, i in ipairs(pool) do
        i.limit = i.own_limit
        i.is_up = t[i.up] ~= '0' and t[i.dr] ~= '1'
        i.taken = tonumber(t[i.c] or '0')
        i.current, i.found, i.breaker, i.probes = nil, nil, nil, nil
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

-- What an attempt brings along: kind ('s' a waiting caller's, else ''), region of its worker, key ('' none) and that
-- key's limit.
local function wanted(t, class, opt)
    local limit = policy_of(t).key_limit
    return {kind = class == 'sync' and 's' or '', region = opt.rg or '', key = limit > 0 and opt.pk or '', key_limit = limit}
end

-- Without key and region.
local A_CALL, A_JOB = {kind = 's', region = '', key = '', key_limit = 0}, {kind = '', region = '', key = '', key_limit = 0}

-- GCRA. tat is the instant at which all calls so far are paid for, one each gap. Never further away than a whole burst takes: more
-- is left of a lower rate, or of a clock that was set back.
local function tat_of(rate, stored, now)
    return math.min(math.max(tonumber(stored or '') or now, now), now + rate.burst * rate.gap)
end

-- nil, or the instant of the next call: tat less burst - 1 gaps.
local function rate_waits(rate, stored, now)
    local at = tat_of(rate, stored, now) - (rate.burst - 1) * rate.gap
    return at > now + 0.001 and math.ceil(at) or nil
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
    local rate = policy_of(t).rate_limit
    local at = nil
    at = rate and rate_waits(rate, t.tat, now) -- BREAK:rate_of_tenant
    if at then
        return 'rate', at
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
    local at = nil
    at = i.rate and rate_waits(i.rate, t['tat:' .. i.name], now) -- BREAK:rate_of_instance
    if at then
        return 'rate', at
    end
    return nil
end

-- Latency as it is felt: the average, which forgets with time, for each call that is out and one more. An instance that
-- has never answered gets one call to try.
local function latency_cost(t, i, now)
    local average, at = string.match(t['ew:' .. i.name] or '', '^(%S+) (%d+)$')
    if not average then
        return i.taken > 0 and 1e12 + i.taken or 0
    end
    return tonumber(average) * math.exp(-math.max(0, now - tonumber(at)) / DECAY_MS) * (i.taken + 1)
end

-- The balances: the free instance with the least takes the call; among equals their turn decides.
local RANKS = {
    round_robin = function()
        return 0
    end,
    priority = function(_, i)
        return i.priority
    end,
    least_busy = function(_, i)
        return i.taken
    end,
    least_latency = function(t, i, now)
        return latency_cost(t, i, now)
    end,
    weighted = function(_, i)
        return -i.current
    end,
    region = function(_, i, _, want)
        return i.region ~= '' and i.region == want.region and 0 or 1
    end
}

local function balance_of(t)
    local word = policy_of(t).balance
    return RANKS[word] and word or 'round_robin'
end

-- Smooth weighted round robin: each that could take the call gains its weight; who takes it pays them all.
local function gain_weights(t, pool, free)
    local saved = {}
    for n in string.gmatch(t.sw or '', '[^,]+') do
        saved[#saved + 1] = tonumber(n)
    end
    for at, i in ipairs(pool) do
        i.current = #saved == #pool and saved[at] or 0
    end
    local sum = 0
    for _, entry in ipairs(free) do
        entry.i.current = entry.i.current + entry.i.weight
        sum = sum + entry.i.weight
    end
    return sum
end

-- The free instances in turn, or none and the best reason: that of the instance which is free first; a reason other than
-- no_instance wins over it.
local function free_ones(t, pool, now, balance)
    local turn = tonumber(t.rr or '0')
    local is_weighted = balance == 'weighted'
    local free, why, at = {}, nil, nil
    for step = 0, #pool - 1 do
        local i = pool[(turn + step) % #pool + 1]
        local reason, till = instance_waits(t, i, now)
        if not reason and is_weighted and i.weight == 0 then
            reason, till = 'no_instance', now + 2000
        end
        if not reason then
            free[#free + 1] = {i = i, next_turn = (turn + step + 1) % #pool}
            if balance == 'round_robin' then
                break -- it is its turn, whoever else is free
            end
        elseif not why or why == 'no_instance' or (reason ~= 'no_instance' and till < at) then
            why, at = reason, till
        end
    end
    return free, why or 'no_instance', at or now + 2000
end

-- Gives the instance that takes the next call, and at which place the turn goes on; or nil, the reason, and the
-- earliest instant at which one may take it. Reason 'key': its own key has all its calls out.
local function choose(t, pool, now, want)
    local why, at = tenant_waits(t, now)
    local is_for_all = why and why ~= 'concurrency' and why ~= 'rate'
    if want.key ~= '' and not is_for_all then
        local out = tonumber(redis.call('HGET', T .. 'p', want.key) or '0')
        if out >= want.key_limit then
            return nil, 'key' -- BREAK:key_has_its_limit
        end
    end
    if why then
        return nil, why, at
    end
    local balance = balance_of(t)
    local free, reason, till = free_ones(t, pool, now, balance)
    if #free == 0 then
        return nil, reason, till
    end
    if #free == 1 and balance ~= 'weighted' then
        return free[1].i, free[1].next_turn
    end
    local sum = balance == 'weighted' and gain_weights(t, pool, free)
    local best, least
    for _, entry in ipairs(free) do
        local rank = RANKS[balance](t, entry.i, now, want)
        if not least or rank < least then
            best, least = entry, rank
        end
    end
    if sum then
        best.i.current = best.i.current - sum
    end
    return best.i, best.next_turn
end

-- How many calls of an instance can be out at once as it is now: of one that takes none, those that are; of one that has probes, and
-- no more.
local function takes_at_once(t, i, now, is_weighted)
    if instance_waits(t, i, now) or (is_weighted and i.weight == 0) then
        return i.taken -- BREAK:share_of_what_is_left
    end
    local probes = probes_left(i)
    local limit = i.limit > 0 and i.limit or math.huge
    return probes and math.min(limit, i.taken + probes) or limit
end

-- How many calls the tenant takes at once; nil: no end to it, so that nobody waits for a slot.
local function capacity_of(t, pool, now)
    local sum, bound = 0, tonumber(t.tc or '0')
    local is_weighted = balance_of(t) == 'weighted'
    for _, i in ipairs(pool) do
        sum = sum + takes_at_once(t, i, now, is_weighted)
    end
    local n = bound > 0 and math.min(bound, sum) or sum
    return n > 0 and n < math.huge and n or nil
end

-- Whether the kind of work waits for a slot, and until when that is believed.
local function waits_until(t, kind, now)
    local till = tonumber(t[kind == 's' and 'ws' or 'wn'] or '0')
    return till > now and till <= now + WAITS_MS and till or nil
end

local function other_kind(kind)
    return kind == 's' and '' or 's'
end

-- sync_share: waiting callers first. While both kinds wait, they have at most their share of the slots, and the other
-- work at most the rest. Of a single slot they have their share of the grants: sg is what the other work has saved.
-- Gives nil, or until when the other kind is believed to wait, whose turn it is.
local function turn_of_other(t, pool, kind, now)
    local share = policy_of(t).share
    local till = share and waits_until(t, other_kind(kind), now)
    local n = till and capacity_of(t, pool, now)
    if not n then
        return nil
    end
    local callers = tonumber(t.cs or '0')
    local others = tonumber(t.c or '0') - callers
    local most = math.max(1, math.floor(share * n + 0.000001))
    local is_callers = callers < most
    if n == 1 then
        is_callers = tonumber(t.sg or '0') < share - 0.00001
    elseif kind ~= 's' then
        is_callers = others >= n - most
    end
    return is_callers ~= (kind == 's') and till or nil
end

-- A slot is kept free for the other kind, whose workers are told. Who does not come in time waits no more.
local function call_other(t, kind, till, now)
    if till > now + CALL_MS then
        till = now + CALL_MS
        tenant.put(kind == 's' and 'wn' or 'ws', int(till))
        wake_waiting()
    end
    return till
end

-- Whether a slot that comes free would do, though the claim is told of what comes free sooner: another instance's rate, say.
local function is_full_somewhere(t, pool, now)
    if tenant_waits(t, now) then
        return false
    end
    for _, i in ipairs(pool) do
        if instance_waits(t, i, now) == 'concurrency' then
            return true
        end
    end
    return false
end

-- A claim finds no room: its worker is told when there is some, and the kind of work waits.
local function refuse(t, pool, kind, reason, till, deadline, now)
    local notes = {}
    local waiting = t.ww or ''
    local waits_for_slot = reason == 'concurrency'
    waits_for_slot = waits_for_slot or is_full_somewhere(t, pool, now) -- BREAK:what_comes_first_wakes
    -- Of a rate nobody has to tell.
    if (reason ~= 'rate' or waits_for_slot or till > now + 1000) and not string.find(waiting, ARGV[5], 1, true) then
        notes = {'ww', waiting .. ' ' .. ARGV[5]}
    end
    if waits_for_slot and policy_of(t).share and capacity_of(t, pool, now) then
        local at = deadline > 0 and math.min(deadline, now + WAITS_MS) or now + WAITS_MS
        notes[#notes + 1] = kind == 's' and 'ws' or 'wn'
        notes[#notes + 1] = int(at)
    end
    if #notes > 0 then
        tenant.put_all(notes)
    end
end

-- Notes a grant in the tenant's hash: turn, rates, weights, the single slot's credit.
local function note_grant(t, pool, i, next_turn, want, now)
    local note = tenant.put
    if #pool > 1 then
        note('rr', int(next_turn))
    end
    local rate = policy_of(t).rate_limit
    if rate then
        note('tat', string.format('%.3f', tat_of(rate, t.tat, now) + rate.gap))
    end
    if i.rate then
        note('tat:' .. i.name, string.format('%.3f', tat_of(i.rate, t['tat:' .. i.name], now) + i.rate.gap))
    end
    if i.current then
        local weights = {}
        for at, each in ipairs(pool) do
            weights[at] = int(each.current)
        end
        note('sw', table.concat(weights, ','))
    end
    local share = policy_of(t).share
    if share and waits_until(t, other_kind(want.kind), now) and capacity_of(t, pool, now) == 1 then
        local saved = tonumber(t.sg or '0')
        saved = want.kind == 's' and math.min(1, saved + 1 - share) or math.max(0, saved - share)
        note('sg', string.format('%.6f', saved))
    end
end

-- Without any limit that needs them, slots are written only where the balance counts the calls that are out.
local function needs_slot(t, i, want)
    local balance = balance_of(t)
    return i.limit > 0 or tonumber(t.tc or '0') > 0 or want.key ~= '' or balance == 'least_busy' or balance == 'least_latency'
end

-- Whether this worker may claim for this tenant; found once a call.
local function may_claim(worker, lease_ms, now)
    if is_dead(worker) then
        return false
    end
    note_life(now)
    return settling_ms(now, lease_ms) == 0
end

-- Counts the slot; i: the instance.
local function note_slot(i, want)
    tenant.add('c', 1)
    tenant.add(i.c, 1)
    if want.kind == 's' then
        tenant.add('cs', 1)
    end
    if want.key ~= '' then
        redis.call('HINCRBY', T .. 'p', want.key, 1)
    end
end

-- Counts what runs, and for /stats what the instance was given.
local function note_begun(i, is_new)
    tenant.add(i.given, 1)
    if is_new then
        tenant.add('run', 1)
    end
end

-- Its key has no room. It is parked for a minute at most, and is meanwhile before nobody else (_load.lua).
local function wait_for_key(name, r, now)
    if r.st == 'running' or r.st == 'in_doubt' then
        return -- counted as such
    end
    redis.call('ZREMRANGEBYSCORE', T .. 'x', '-inf', int(now))
    redis.call('ZADD', T .. 'x', int(now + 75000), name)
    if r.cl == 'sync' then
        redis.call('ZREM', T .. 'y', name)
    end
end

-- The kind waits no more, until it is refused again; but for what its worker still has in hand, which comes next. What was kept
-- free for it and is not needed goes to whoever waits.
local function served(t, pool, kind, has_more, now)
    local mark = kind == 's' and 'ws' or 'wn'
    local goes_on = false
    goes_on = has_more -- BREAK:share_while_more_wait
    if goes_on then
        if policy_of(t).share and not waits_until(t, kind, now) and capacity_of(t, pool, now) then
            tenant.put(mark, int(now + CALL_MS))
        end
    elseif t[mark] then
        tenant.drop(mark)
        if tonumber(t.c or '0') + 1 < (capacity_of(t, pool, now) or 0) then
            wake_waiting()
        end
    end
end

-- The one instance of a tenant that has no other, where nothing but slots bounds it (no rate, no mood), and the worker may claim;
-- else nil. Found once a call.
local function find_only_one(worker, lease_ms, now)
    local t = tenant.all()
    local p, pool, bound = policy_of(t), read_pool(t), tonumber(t.tc or '0')
    local i = #pool == 1 and pool[1]
    local is_more = not i or i.rate or p.rate_limit or p.key_limit > 0 or p.balance == 'least_busy' or p.balance == 'least_latency' or
                    p.balance == 'weighted' or t.ep ~= EPOCH or tenant_waits(t, now) or instance_waits(t, i, now)
    if is_more or not may_claim(worker, lease_ms, now) then
        return {worker = worker, lease_ms = lease_ms}
    end
    return {worker = worker, lease_ms = lease_ms, instance = i, pool = pool, t = t, has_slots = bound > 0 or i.limit > 0,
            bound = bound > 0 and bound or math.huge, limit = i.limit > 0 and i.limit or math.huge}
end

-- That, when it has room for one more call of the kind and the other kind does not wait, so that no share counts; else nil.
-- has_slots: whether calls take slots there. (For claims whose options bound nothing: no breaker, no adaptive limit, no key.)
local function only_one(worker, lease_ms, kind, now)
    local found = tenant.parsed.only_one
    if not found or found.worker ~= worker or found.lease_ms ~= lease_ms then
        found = find_only_one(worker, lease_ms, now)
        tenant.parsed.only_one = found
    end
    local t = found.t
    if not t then
        return nil
    end
    local has_room, is_waited_for = true, false
    has_room = (tonumber(t.c) or 0) < found.bound and (tonumber(t[found.instance.c]) or 0) < found.limit -- BREAK:only_one_has_its_limit
    is_waited_for = t[kind == 's' and 'wn' or 'ws'] -- BREAK:only_one_has_its_share
    return has_room and not is_waited_for and found or nil
end

-- Peak EWMA (least_latency): a slow answer counts at once and in full, quick ones little by little. No answer: only if
-- that took longer than what is known.
local function note_latency(instance, took, is_answered, now)
    local field = 'ew:' .. instance
    if policies(tenant.get('pol') or '').balance ~= 'least_latency' then
        return
    end
    took = math.max(1, took)
    local average, at = string.match(tenant.get(field) or '', '^(%S+) (%d+)$')
    local fade = math.exp(-math.max(0, now - tonumber(at or '0')) / DECAY_MS)
    local kept = tonumber(average or '0') * fade
    if not is_answered and took <= kept then
        return
    end
    local felt = kept + took * (1 - fade)
    felt = math.max(felt, took) -- BREAK:slow_counts_at_once
    tenant.put(field, string.format('%.3f %s', felt, int(now)))
end
