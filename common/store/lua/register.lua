-- ARGV: 1 epoch, 2 the tenant's document ('' removes it), 3 instances (a line each, _pool.lua), 4 concurrency,
-- 5… options: pol its policy (_pool.lua), rv the overlay's revision that this document comes from (overlay.lua).
-- Gives {1} changed, {0} the same, {-1} not removed: it has unended jobs, {-2, revision} registered from a later
-- revision: read the overlay again.
-- The registry's index (another tag) is written by the caller, afterwards.
-- What is noted of an instance goes with it: a name that never comes back would be read with each claim for ever. What still holds stays
-- (its slots, a rate, a cooling, an open breaker), until the list changes again: discovery may lose sight of it for a moment.
local REGISTERED = {'ep', 'il', 'tc', 'pol'}
local NOTED = {up = true, n = true, c = true, tat = true, ew = true, cool = true, br = true, ad = true}

local function holds(word, value, now)
    if word == 'c' then
        return tonumber(value) > 0
    end
    local till = word == 'br' and string.match(value, '^o (%d+)$') or ((word == 'tat' or word == 'cool') and value)
    return till and tonumber(till) > now
end

local function forget_absent(lines)
    local stays = {}
    for name in string.gmatch('\n' .. lines, '\n([^\t\n]+)') do
        stays[name] = true
    end
    local now = now_ms()
    for field, value in pairs(tenant.all()) do
        local word, name = string.match(field, '^(%l+):(.*)$')
        if value and word and NOTED[word] and not stays[name] and not holds(word, value, now) then
            tenant.drop(field)
        end
    end
end

local opt = options(5)
local policy = opt.pol or ''
if opt.rv then
    local revision = tonumber(tenant.get('rv') or '0')
    if revision > tonumber(opt.rv) then
        return {-2, revision} -- BREAK:newest_word_stands
    end
    if revision < tonumber(opt.rv) then
        tenant.put('rv', opt.rv)
    end
end
if ARGV[2] == '' then
    if unended.count() > 0 then
        return {-1} -- BREAK:busy_tenant_stays
    end
    redis.call('DEL', T .. 'doc')
    for _, field in ipairs({'ep', 'il', 'tc', 'pol', 'sw', 'paused'}) do
        tenant.drop(field)
    end
    forget_absent('')
    return {1}
end
local t = tenant.know(REGISTERED)
if redis.call('GET', T .. 'doc') == ARGV[2] and t.ep == EPOCH and t.il == ARGV[3] and t.tc == ARGV[4] and (t.pol or '') == policy then
    return {0}
end
redis.call('SET', T .. 'doc', ARGV[2])
local is_known, is_same_list = t.ep == EPOCH, t.il == ARGV[3]
tenant.put_all({'ep', EPOCH, 'il', ARGV[3], 'tc', ARGV[4], 'pol', policy})
if not is_same_list then
    tenant.drop('sw') -- by place in the list
    forget_absent(ARGV[3]) -- BREAK:notes_go_with_the_instance
end
if not is_known and GENERATION ~= '' then
    -- New here: it forgot nothing, unless the caller knows better.
    tenant.put('gn', GENERATION)
    note_life(now_ms())
end
wake_waiting() -- BREAK:change_wakes
return {1}
