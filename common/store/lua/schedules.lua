-- The schedules that were put over HTTP: changed, and read from a revision on, so that nobody reads all of them at each change.
-- KEYS[1] '{sluice}:sd' hash: name → document, ':rev' counts changes, ':floor' the newest deletion that is forgotten, ':restored' the
-- revision of the last word of a person about what an earlier life of the store had;
-- KEYS[2] '{sluice}:sr' sorted set: name → revision of its document; KEYS[3] '{sluice}:sx' likewise, of names that were deleted;
-- KEYS[4] '{sluice}:epoch'.
-- ARGV: 1 epoch, 2 the revision up to which the caller has read (0: nothing yet), 3 since which it knows of every deletion (that,
-- or when it began to read all), 4 how many to give at most; then perhaps a word (5):
--   set name revision document | del name revision ''   the revision is that of the document that the caller saw (0: none)
--   restore name document …   each, unless one of that name was put or deleted in this life of the store
--   restored seen             all that is to be put back was; seen: ':restored' as the caller knows it
-- Gives {revision, revision that is read then, revision from which this reads (0: all of it, anew), what became of the word,
-- ':restored', ':floor', name, revision, document ('' when deleted), …}, or {-1}: another epoch, everything was lost. The word: '' | done |
-- raced (the document is another than the caller saw; nothing was changed). Sent again it changes nothing more.
local GONE_MAX, BYTES_MAX = 10000, 4000000
local docs, live, gone = KEYS[1], KEYS[2], KEYS[3]
if redis.call('GET', KEYS[4]) ~= ARGV[1] then
    return {-1}
end

local function field(name)
    return tonumber(redis.call('HGET', docs, name) or '0')
end

local function change(name, document)
    local revision = redis.call('HINCRBY', docs, ':rev', 1)
    if document then
        redis.call('HSET', docs, name, document)
        redis.call('ZADD', live, revision, name)
        redis.call('ZREM', gone, name)
        return
    end
    redis.call('HDEL', docs, name)
    redis.call('ZREM', live, name)
    redis.call('ZADD', gone, revision, name)
    if redis.call('ZCARD', gone) > GONE_MAX then
        redis.call('HSET', docs, ':floor', redis.call('ZPOPMIN', gone)[2])
    end
end

local function say(word, name, seen, document)
    local wanted = word == 'set' and document
    if redis.call('HGET', docs, name) == wanted then
        return 'done'
    end
    if tonumber(redis.call('ZSCORE', live, name) or '0') ~= tonumber(seen) then
        return 'raced' -- BREAK:schedule_is_put_over_what_was_seen
    end
    change(name, wanted)
    return 'done'
end

local function restore()
    for i = 6, #ARGV, 2 do
        local is_taken = redis.call('HEXISTS', docs, ARGV[i]) == 1 or redis.call('ZSCORE', gone, ARGV[i])
        if not is_taken then -- BREAK:put_back_takes_nobodys_place
            change(ARGV[i], ARGV[i + 1])
        end -- BREAK:put_back_takes_nobodys_place
    end
    return 'done'
end

local function end_restore(seen)
    if int(field(':restored')) == seen then
        redis.call('HSET', docs, ':restored', redis.call('HINCRBY', docs, ':rev', 1))
    end
    return 'done'
end

local said = ''
if ARGV[5] == 'restore' then
    said = restore()
elseif ARGV[5] == 'restored' then
    said = end_restore(ARGV[6])
elseif ARGV[5] then
    said = say(ARGV[5], ARGV[6], ARGV[7], ARGV[8])
end
local from, safe, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local revision, floor = field(':rev'), field(':floor')
if from > revision or (from > 0 and safe < floor) then
    from = 0
end
local names = redis.call('ZRANGEBYSCORE', live, '(' .. int(from), '+inf', 'WITHSCORES', 'LIMIT', 0, most)
local upto, bytes = revision, 0
local gives = {revision, 0, from, said, field(':restored'), floor}
for i = 1, #names, 2 do
    local document = redis.call('HGET', docs, names[i])
    bytes = bytes + #document
    gives[#gives + 1] = names[i]
    gives[#gives + 1] = names[i + 1]
    gives[#gives + 1] = document
    if bytes > BYTES_MAX or i + 1 == 2 * most then
        upto = tonumber(names[i + 1])
        break
    end
end
gives[2] = upto
local left = redis.call('ZRANGEBYSCORE', gone, from > 0 and '(' .. int(from) or '-inf', int(upto), 'WITHSCORES')
for i = 1, #left, 2 do
    gives[#gives + 1] = left[i]
    gives[#gives + 1] = left[i + 1]
    gives[#gives + 1] = ''
end
return gives
