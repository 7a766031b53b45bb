-- with: _order.lua
-- ARGV: 1 epoch, 2 'list'|'count'|'redrive', 3 most matches, 4 most entries looked at, 5 only what was shelved
-- before this time in ms ('' before now), 6 and 7 time and name of the last entry seen ('' from the start),
-- 8 state or '', 9 error or '', 10 only what was shelved at or after this time in ms ('' any), 11 and 12 a label's
-- name and value or '', 13 note.
-- One page over the tenant's shelf, oldest first. What is run again and fails again comes back with a later time:
-- whoever walks in pages names the first page's bound, and meets each entry at most once.
-- Gives {bound, time and name of the last entry seen ('' when there are no more), on the shelf in all, entries
-- looked at, matched, run again, refused, row…}. Rows of list: {name, shelved, state, error, created, ended,
-- attempts, status, method, path, labels, bytes}; of redrive, for each refused: {name, name of the job that has its key}.
local mode, most, budget = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local bound = ARGV[5] ~= '' and tonumber(ARGV[5]) or now + 1
local after, last_at, last_name = ARGV[10], ARGV[6], ARGV[7]

-- How many entries stand at or before (last_at, last_name): it may have left the shelf since.
local function seen()
    local low = redis.call('ZCOUNT', T .. 'h', '-inf', '(' .. last_at)
    local high = redis.call('ZCOUNT', T .. 'h', '-inf', last_at)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if redis.call('ZRANGE', T .. 'h', middle, middle)[1] <= last_name then
            low = middle + 1
        else
            high = middle
        end
    end
    return low
end

local first = 0
if last_at ~= '' then
    first = seen()
end
if after ~= '' then
    first = math.max(first, redis.call('ZCOUNT', T .. 'h', '-inf', '(' .. after))
end

local function has_label(labels)
    if ARGV[11] == '' then
        return true
    end
    local is_read, tree = pcall(cjson.decode, labels or '')
    return is_read and type(tree) == 'table' and tree[ARGV[11]] == ARGV[12]
end

local function fits(v)
    return v[1] and v[3] == '1' and (ARGV[8] == '' or v[1] == ARGV[8]) and (ARGV[9] == '' or (v[2] or '') == ARGV[9]) and
           has_label(v[4])
end

local total = redis.call('ZCARD', T .. 'h')
local entries = redis.call('ZRANGE', T .. 'h', first, first + budget - 1, 'WITHSCORES')
local looked, matched, redriven, refused = 0, 0, 0, 0
local rows = {}
local is_over = first + budget >= total

local function take(name, at, v)
    matched = matched + 1
    if mode == 'list' then
        local size = redis.call('HGET', T .. 'b:' .. name, 'q')
        rows[#rows + 1] = {name, at, v[1], v[2] or '', v[5] or '', v[6] or '', v[7] or '', v[8] or '', v[9] or '',
                           v[10] or '', v[4] or '', size or ''}
    elseif mode == 'redrive' then
        local done = run_again(name, read(name), now, ARGV[13])
        if done[1] == 'queued' then
            redriven = redriven + 1
        else
            refused = refused + 1
            rows[#rows + 1] = {name, done[2]}
        end
    end
end

for i = 1, #entries, 2 do
    local name, at = entries[i], entries[i + 1]
    if tonumber(at) >= bound then
        is_over = true
        break
    end
    if matched >= most then
        is_over = false
        break
    end
    looked = looked + 1
    last_at, last_name = at, name
    local v = redis.call('HMGET', job(name), 'st', 'er', 'sh', 'lb', 'ca', 'ea', 'n', 'os', 'm', 'p')
    if fits(v) then
        take(name, at, v)
    end
end
if is_over then
    last_at, last_name = '', ''
end
return {int(bound), last_at, last_name, total, looked, matched, redriven, refused, unpack(rows)}
