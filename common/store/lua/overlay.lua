-- What was said over HTTP about tenants and instances, whole in one hash: read, or changed and read, at once.
-- KEYS[1] '{sluice}:put', KEYS[2] '{sluice}:epoch'. ARGV: 1 the caller's revision (then a hash that is no newer is not given
-- again; '' to have it in any case), 2 the epoch, then triples of word, field, value:
--   set F V       nx F V (unless it is there)      del F ''
--   drop T ''     all that is said of a tenant     ttl 'T I' ms   the instance stays for so long from now
--   forever 'T I' ''   no time to live             lapse 'T I' '' its time is over: it drains
--   gone 'T I' ''      it has drained after its time was over: it is removed
--   only F ''     what follows is said only if F is there: its tenant may have left since it was looked at
--   atleast '' N  the revision is N at least: tenants have seen it (a store that forgot its last second)
-- Fields: 't T' a tenant's document, 'i T I' an instance's, 'e T I' when its time is over, 'p T' a pause's note, 'd T I' why it
-- drains (hand or ttl), 'x T I' not in the pool although the document has it; ':rev' counts changes, ':restored' after a restore.
-- Gives {changed, revision, now, field, value, …}, or {-1}: another epoch, everything was lost. Sent again it changes nothing more.
local key = KEYS[1]
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
    return {-1} -- BREAK:overlay_of_this_epoch
end
local now = now_ms()
local changed = 0

local function set(field, value)
    if redis.call('HGET', key, field) ~= value then
        redis.call('HSET', key, field, value)
        changed = 1
    end
end

local function del(field)
    changed = redis.call('HDEL', key, field) == 1 and 1 or changed
end

local function is_over(instance)
    local at = redis.call('HGET', key, 'e ' .. instance)
    return at and tonumber(at) <= now
end

local words = {set = set, del = del}
function words.nx(field, value)
    changed = redis.call('HSETNX', key, field, value) == 1 and 1 or changed
end
function words.drop(tenant)
    for _, field in ipairs(redis.call('HKEYS', key)) do
        if string.match(field, '^%a ([^ ]+)') == tenant then
            del(field)
        end
    end
end
-- A refresh is no change: nobody needs to read it.
function words.ttl(instance, ms)
    redis.call('HSET', key, 'e ' .. instance, int(now + tonumber(ms)))
end
function words.forever(instance)
    redis.call('HDEL', key, 'e ' .. instance)
end
function words.lapse(instance)
    if is_over(instance) then -- BREAK:refreshed_stays
        set('d ' .. instance, 'ttl')
    end -- BREAK:refreshed_stays
end
function words.gone(instance)
    if is_over(instance) and redis.call('HGET', key, 'd ' .. instance) == 'ttl' then
        for _, kind in ipairs({'i ', 'd ', 'e '}) do
            del(kind .. instance)
        end
    end
end
function words.atleast(_, revision)
    if tonumber(redis.call('HGET', key, ':rev') or '0') < tonumber(revision) then
        redis.call('HSET', key, ':rev', revision)
    end
end

function words.only() end

for i = 3, #ARGV, 3 do
    local has_left = false
    has_left = ARGV[i] == 'only' and redis.call('HEXISTS', key, ARGV[i + 1]) == 0 -- BREAK:left_tenant_is_not_spoken_of
    if has_left then
        break
    end
    words[ARGV[i]](ARGV[i + 1], ARGV[i + 2])
end
local revision = changed == 1 and redis.call('HINCRBY', key, ':rev', 1) or tonumber(redis.call('HGET', key, ':rev') or '0')
if changed == 0 and #ARGV == 2 and ARGV[1] == int(revision) then
    return {0, revision, now}
end
local gives = {changed, revision, now}
for i, text in ipairs(redis.call('HGETALL', key)) do
    gives[i + 3] = text
end
return gives
