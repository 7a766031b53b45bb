-- One call of a function: about one job, or about many of a tenant. What it reads of the tenant it reads once, what it changes it
-- writes once, at its end. Prepended to every file, before _common.lua.
local T, EPOCH, GENERATION, MEMORY, FORGOT, MAY_FORGET, turn
local whose -- of the call before: what the caller knows of the store

-- A function of one value alone, whose results are kept: the same few values come again and again. make gives the result, and how
-- much is kept with it where that is not 1; beyond `most` all of it goes.
local function kept(most, make)
    local made, n = {}, 0
    return function(value)
        local found = made[value]
        if not found then
            local size
            found, size = make(value)
            n = n + (size or 1)
            if n > most then
                made, n = {}, size or 1
            end
            made[value] = found
        end
        return found
    end
end

-- A number as Redis takes it: a whole one. (%.0f is five times as dear.)
local int = kept(500, function(n)
    return string.format('%d', n < 0 and n - 0.5 or n + 0.5)
end)

-- Of a text that is a setting, so that it comes with every job.
local setting = kept(500, function(text)
    return (tonumber(text))
end)

-- A script stands at one instant.
local instant

local function now_ms()
    if not instant then
        local t = redis.call('TIME')
        instant = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
    end
    return instant
end

-- Pairs of name and value from ARGV[from] on, as a table.
local function options(from)
    local opt = {}
    for i = from, #ARGV, 2 do
        opt[ARGV[i]] = ARGV[i + 1]
    end
    return opt
end

-- Kept from call to call, with their room; only what was written last counts.
local set, gone = {}, {}

-- changed: name -> value (text, or a number), or false: it goes. ZADD takes the score first.
local function write_out(changed, set_with, drop_with, key)
    local n, n_gone = 0, 0
    for name, value in pairs(changed) do
        if type(value) == 'number' then
            value = int(value)
        end
        if not value then
            n_gone = n_gone + 1
            gone[n_gone] = name
        elseif set_with == 'ZADD' then
            set[n + 1], set[n + 2] = value, name
            n = n + 2
        else
            set[n + 1], set[n + 2] = name, value
            n = n + 2
        end
    end
    if n > 0 then
        redis.call(set_with, key, unpack(set, 1, n))
    end
    if n_gone > 0 then
        redis.call(drop_with, key, unpack(gone, 1, n_gone))
    end
end

-- The tenant's hash. Nobody reads or writes it in another way. fields: value (a number where one was added to in this call), or
-- false: known to be absent; notes: those that _load.lua reads as numbers; parsed: what else a file found out, until the call ends.
local tenant = {fields = {}, changed = {}, has_changed = false, is_whole = false, known = {}, notes = {}, parsed = {}}

-- A field's value, or nil.
function tenant.get(name)
    local value = tenant.fields[name]
    if value == nil and not tenant.is_whole then
        value = redis.call('HGET', KEYS[1], name)
        tenant.fields[name] = value
    end
    return value or nil
end

-- Reads the names (a list, always the same one), once a call.
function tenant.know(names)
    local fields = tenant.fields
    if tenant.is_whole or tenant.known[names] then
        return fields
    end
    tenant.known[names] = true
    local values = redis.call('HMGET', KEYS[1], unpack(names))
    for i = 1, #names do
        if fields[names[i]] == nil then
            fields[names[i]] = values[i]
        end
    end
    return fields
end

-- All of it: name -> value; what is absent is nil or false.
function tenant.all()
    if not tenant.is_whole then
        local fields, flat = tenant.fields, redis.call('HGETALL', KEYS[1])
        for i = 1, #flat, 2 do
            if tenant.changed[flat[i]] == nil then
                fields[flat[i]] = flat[i + 1]
            end
        end
        tenant.is_whole = true
    end
    return tenant.fields
end

function tenant.put(name, value)
    if tenant.fields[name] ~= value then
        tenant.fields[name] = value
        tenant.changed[name] = value
        tenant.has_changed = true
    end
end

-- Names and values, as HSET takes them.
function tenant.put_all(pairs_of)
    for i = 1, #pairs_of, 2 do
        tenant.put(pairs_of[i], pairs_of[i + 1])
    end
end

function tenant.drop(name)
    if tenant.get(name) then
        tenant.put(name, false)
    end
end

function tenant.add(name, by)
    local sum = (tonumber(tenant.get(name)) or 0) + by
    tenant.fields[name], tenant.changed[name], tenant.has_changed = sum, sum, true
end

function tenant.flush()
    write_out(tenant.changed, 'HSET', 'HDEL', KEYS[1])
    tenant.changed, tenant.has_changed = {}, false
end

-- {T}:u, the unended jobs by their next check. changed: name -> text of the score, or false: ended. Nobody else writes it.
local unended = {changed = {}, has_changed = false, n = nil}

function unended.put(name, at)
    unended.changed[name] = int(at)
    unended.has_changed = true
end

function unended.drop(name)
    unended.changed[name] = false
    unended.has_changed = true
    unended.n = nil
end

function unended.flush()
    write_out(unended.changed, 'ZADD', 'ZREM', T .. 'u')
    unended.changed, unended.has_changed = {}, false
end

-- How many there are, those of this call among them.
function unended.count()
    if not unended.n then
        if unended.has_changed then
            unended.flush()
        end
        unended.n = redis.call('ZCARD', T .. 'u')
    end
    return unended.n
end

-- One that was not there.
function unended.enter(name, at)
    unended.put(name, at)
    unended.n = unended.n and unended.n + 1
end

-- {T}:s, the slots. changed: field -> row, or false: freed. Nobody else writes it.
local slots = {changed = {}, has_changed = false, has_any = nil}

-- The row of a slot, or false.
function slots.get(field)
    local row = slots.changed[field]
    if row == nil then
        row = redis.call('HGET', T .. 's', field)
    end
    return row
end

function slots.put(field, row)
    slots.changed[field], slots.has_changed, slots.has_any = row, true, true
end

function slots.drop(field)
    slots.changed[field], slots.has_changed = false, true
end

-- Whether there is any, or was when the call began.
function slots.are_used()
    if slots.has_any == nil then
        slots.has_any = redis.call('HLEN', T .. 's') > 0
    end
    return slots.has_any
end

function slots.flush()
    write_out(slots.changed, 'HSET', 'HDEL', T .. 's')
    slots.changed, slots.has_changed = {}, false
end

-- What a file has to write at the end of a call.
local at_end = {}

-- A job of this call begins: ARGV are its arguments.
local function begin_one()
    if ARGV[1] ~= whose then
        whose = ARGV[1]
        EPOCH, GENERATION, MEMORY, FORGOT = string.match(whose or '', '^([^:]*):?(%d*):?(%a?):?(%d*)$')
        MAY_FORGET = MEMORY == 'f' or MEMORY == 'p' or MEMORY == 'l'
    end
    turn = {name = '', at = ''}
end

local function begin_call()
    T = string.sub(KEYS[1], 1, -2)
    instant = nil
    tenant.fields, tenant.changed, tenant.has_changed, tenant.is_whole = {}, {}, false, false
    tenant.known, tenant.notes, tenant.parsed = {}, {}, {}
    unended.changed, unended.has_changed, unended.n = {}, false, nil
    slots.changed, slots.has_changed, slots.has_any = {}, false, nil
end

local function end_call()
    for _, write in ipairs(at_end) do
        write()
    end
    if unended.has_changed then
        unended.flush()
    end
    if slots.has_changed then
        slots.flush()
    end
    if tenant.has_changed then
        tenant.flush()
    end
end

-- One job.
local function call_one(one)
    begin_call()
    begin_one()
    local answer = one()
    end_call()
    return answer
end

-- A number, or of a word "=3 7" the places 3 and 7.
local arguments_of = kept(500, function(word)
    if string.byte(word) ~= 61 then
        return tonumber(word)
    end
    local places = {}
    for place in string.gmatch(word, '%d+') do
        places[#places + 1] = tonumber(place)
    end
    return places
end)

-- The next job's arguments, which begin at args[at]: their number and all of them, or the places of those in which they differ from
-- the job's before, and these. Gives where the job after it begins.
local function take_arguments(args, at)
    local n = arguments_of(args[at])
    if type(n) == 'number' then
        ARGV = {unpack(args, at + 1, at + n)}
        return at + n + 1
    end
    for i = 1, #n do
        ARGV[n[i]] = args[at + i]
    end
    return at + #n + 1
end

-- Many jobs. Gives an answer each; the error of one is no other's.
local function call_many(args, one)
    begin_call()
    local answers, at = {}, 1
    while at <= #args do
        at = take_arguments(args, at)
        begin_one()
        local is_done, answer = pcall(one)
        answers[#answers + 1] = is_done and answer or {err = type(answer) == 'table' and answer.err or tostring(answer)}
    end
    end_call()
    return answers
end
