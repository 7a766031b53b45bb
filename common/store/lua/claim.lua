-- with: _moods.lua
-- with: _pool.lua
-- with: _order.lua
-- with: _offload.lua
-- with: _follow.lua
-- The worker's table "what to do with one delivery": row and action in one.
-- ARGV: 1 epoch, 2 name, 3 token, 4 worker, 5 worker's channel, 6 ms of the attempt's limit and linger,
-- 7 in-doubt policy, 8 most attempts, 9 lease in ms, 10 record_ms, 11 window_ms, 12 result_ms, 13 brief_ms,
-- 14… options: lt (the first, where it is) the record of a message that went first (_follow.lua), rg the worker's region, pk the key of per_key, mw '1': its worker has more of its kind in hand that wait, room the shelf's bound in bytes and size what the request
--   would take of it, breaker and adaptive (_moods.lua).
-- Gives {verdict, …}:
--   ack state [name at]           superfluous, or ended just now; whose turn it is now (_order.lua), in the outbox since
--   go n instance url slot_end counted rest       rest: ms until the deadline, -1 without one
--   park reason ms                wait on the ladder; concurrency: of its key; shelf_full: out of turn, and no room to wait
--   poll n token url poll instance slot_end counted   offloaded, and due: poll it (polled.lua); options: poll_lease_ms
--   ask n token instance url question   in doubt, policy ask: ask the tenant (asked.lua); url '': nobody to ask
--   hold n token reason           in doubt by policy: shelve, naming what was seen
--   used_up n token               dead: likewise
--   order first                   not its turn under its ordering key: shelve it with wait_turn.lua
--   wait reason ms                the whole tenant waits (a reason of _pool.lua, or settling)
--   missing | memory | dead       no record | another epoch | this worker was declared dead
local name, token, worker = ARGV[2], ARGV[3], ARGV[4]
local now = now_ms()
local r = read(name)
local options_from = ARGV[14] == 'lt' and 16 or 14
local following
if not r and options_from == 16 then
    r, following = follow(ARGV[15], now) -- BREAK:follows_its_message
end
if following then
    unended.enter(name, first_check(r.ex, now))
end

local NONE = {}

-- n: the attempt's number. more: further fields of the record, name and value.
local function grant(n, instance, slot_end, rest, ...)
    redis.call('HSET', job(name), 'st', 'running', 'n', int(n), 'tk', token, 'w', worker, 'i', instance.name, 'sa', int(now),
               'se', int(slot_end), 'cnt', int(r.cnt + 1), ...)
    if r.cl == 'sync' and not following then
        redis.call('ZREM', T .. 'y', name)
    end
    note_begun(instance, r.st ~= 'running')
    return {'go', n, instance.name, instance.url, int(slot_end), r.cnt + 1, rest}
end

-- Takes a slot for attempt n.
local function take_slot(n, instance, slot_end, want)
    slots.put(name .. ':' .. n .. ':' .. token, slot_row(slot_end, worker, instance.name, want.kind, want.key))
    note_slot(instance, want) -- BREAK:slot_with_claim
end

-- Most jobs are like this: nothing has happened to them, and their tenant has one instance. All others go the long way below, and
-- whoever goes it finds the same.
local has_more = ARGV[options_from] == 'mw'
local has_options = ARGV[has_more and options_from + 2 or options_from]
if r and r.n == 0 and (r.st == 'queued' or r.st == 'accepted') and r.due == 0 and r.ok == '' and not has_options and
   (r.ex == 0 or now < r.ex) then
    local want = r.cl == 'sync' and A_CALL or A_JOB
    local one = only_one(worker, setting(ARGV[9]), want.kind, now)
    if one then
        local slot_end = now + setting(ARGV[6])
        if one.has_slots then
            take_slot(1, one.instance, slot_end, want)
        end
        served(one.t, one.pool, want.kind, has_more, now)
        return grant(1, one.instance, slot_end, r.ex > 0 and int(r.ex - now) or '-1', unpack(following or NONE))
    end
end
if following then
    write_following(name, r, following, now)
    following = nil
end
local opt = options(14)
if not r and tenant.get('ep') ~= EPOCH then
    return {'memory'} -- not known here: everything was lost, and the caller has not heard of it yet
end
if not r then
    return {'missing', int(now)}
end
local is_over = FINAL[r.st] or r.st == 'in_doubt'
is_over = is_over and not is_lost(r) -- BREAK:lost_is_revived
if is_over then
    return {'ack', r.st}
end

local t = tenant.all()
if t.ep ~= EPOCH then
    return {'memory'}
end
join_line(name, r, now) -- BREAK:claim_takes_a_place
-- A delivery turned up after all. Without an attempt in doubt the job is what it was; else the in-doubt
-- policy decides below, as for a dead holder.
if is_lost(r) and r.db ~= '1' then
    leave(name, r)
    redis.call('HSET', job(name), 'st', 'queued', 'er', '', 'sn', int(now))
    next_check(name, r.ex, now, now + tonumber(t.la or '3600000'))
    r.st, r.er, r.sn = 'queued', '', now
end

-- The delivery leaves the job unended: it is not lost. Written only when the job is long overdue.
local function seen()
    if r.st ~= 'accepted' and now - overdue_since(r) > tonumber(t.la or '3600000') / 2 then
        redis.call('HSET', job(name), 'sn', int(now))
    end
end

local overdue = r.ex > 0 and now >= r.ex
local rest = r.ex > 0 and int(math.max(0, r.ex - now)) or '-1'
if r.st == 'running' and r.of ~= '1' and r.tk == token and (r.w == worker or now < r.se) then
    if r.w ~= worker then
        if is_dead(worker) then
            return {'dead'}
        end
        -- Asked again by the next incarnation, nothing sent yet: the lease goes over with it.
        redis.call('HSET', job(name), 'w', worker)
        local field = name .. ':' .. int(r.n) .. ':' .. token
        local slot = slots.get(field)
        if slot then
            local _, _, instance, kind, key = slot_parts(slot)
            slots.put(field, slot_row(r.se, worker, instance, kind, key))
        end
    end
    return {'go', r.n, r.i, url_of(read_pool(t), r.i), int(r.se), r.cnt, rest} -- BREAK:claim_same_token
end
if is_dead(worker) then
    return {'dead'} -- BREAK:dead_cannot_claim
end
note_life(now)
local settling = settling_ms(now, setting(ARGV[9]))
if settling > 0 then
    return {'wait', 'settling', int(settling)} -- BREAK:settle_before_claims
end

-- Offloaded: no worker holds it, and none needs to.
local lost_by = 'worker_lost'
local is_over_there = false
if r.of == '1' and (r.st == 'running' or is_lost(r)) then
    if is_lost(r) then
        tenant.add('ind', -1)
        tenant.add('run', 1)
        redis.call('ZADD', T .. 'f', int(now), name)
        redis.call('HSET', job(name), 'st', 'running', 'er', '', 'sn', int(now))
        next_check(name, r.ex, now, now + tonumber(t.la or '3600000'))
        r.st, r.er, r.sn = 'running', '', now
    end
    local row, why = offload_row(name, r, token, worker, now, tonumber(opt.poll_lease_ms or '30000'))
    if row then
        seen()
        return row -- BREAK:offloaded_is_polled
    end
    lost_by, is_over_there = why or lost_by, true
end

if r.st ~= 'running' and overdue then
    if r.db == '1' then
        return {'hold', r.n, r.tk, 'deadline'}
    end
    return and_whose_turn(name, {'ack', end_overdue(name, r, now, keeping(r, ARGV, 10))})
end

if r.st == 'running' or is_lost(r) then
    local has_no_holder = is_lost(r) or is_over_there or is_dead(r.w)
    local lease = tonumber(ARGV[9])
    -- Half a lease at most: what the dead held is given by policy within two.
    local pause = math.max(1000, math.min(r.se + lease - now, lease / 2, 5000))
    if not has_no_holder and now < r.se + lease then
        seen()
        return {'park', 'holder', int(pause)} -- BREAK:one_attempt_at_a_time
    end
    if r.i ~= '' then
        drop_probe(t, r.i, r.tk, now) -- BREAK:nobodys_probe_is_let_go
    end
    local is_asked_in_time = ARGV[7] == 'ask' and (r.ex == 0 or math.max(now, r.se) < r.ex)
    if is_asked_in_time then
        begin_asking(name, r, now, 'a' .. r.n, attempt_row(r, now, '', lost_by), 'os', '', 'er', '')
    elseif ARGV[7] ~= 'retry' or overdue then
        return {'hold', r.n, r.tk, lost_by} -- BREAK:no_silent_repeat
    elseif r.cnt >= tonumber(ARGV[8]) then
        return {'used_up', r.n, r.tk}
    end
end
if r.st ~= 'running' and r.due > now then
    return {'park', 'due', int(r.due - now)} -- BREAK:retry_waits_until_due
end
if r.q == '1' and ARGV[7] == 'hold' then
    return {'hold', r.n, r.tk, 'policy_changed'}
end

if is_out_of_turn(name, r) then
    seen()
    if r.oo == '1' then
        return {'ack', r.st} -- on the shelf already
    end
    if r.st == 'running' or r.q == '1' or is_lost(r) then
        return {'park', 'order', 5000} -- begun in an earlier memory, as another of its key was
    end
    if r.st == 'accepted' then
        stand(name, r, now, tonumber(t.la or '3600000')) -- its delivery is the broker's confirm
    end
    local held = tonumber(t.sb or '0') + tonumber(opt.size or '0')
    if tonumber(opt.room or '0') > 0 and held > tonumber(opt.room) then
        return {'park', 'shelf_full', tonumber(shelf_full_ms(name, r))} -- BREAK:full_shelf_gets_no_copies
    end
    return {'order', first_in_line(r.ok)} -- BREAK:one_of_a_key
end

local pool = read_pool(t)
if r.q == '1' and ARGV[7] == 'ask' and not t.paused then
    -- Whoever ran it knows best, up or not; asking takes no slot.
    local asked = {name = r.i, url = url_of(pool, r.i)}
    for _, candidate in ipairs(pool) do
        asked = asked.url == '' and candidate.is_up and candidate or asked
    end
    return {'ask', r.n, r.tk, asked.name, asked.url, redis.call('HGET', job(name), 'qn') or '0'}
end
local want = wanted(t, r.cl, opt)
set_moods(t, pool, opt, now)
local chosen, next_turn, till = choose(t, pool, now, want)
if not chosen and next_turn == 'key' then
    seen()
    wait_for_key(name, r, now) -- BREAK:own_key_is_no_queue
    return {'park', 'concurrency', '1000'} -- the worker doubles it
end
local called = chosen and turn_of_other(t, pool, want.kind, now)
if called then
    chosen, next_turn, till = nil, 'concurrency', call_other(t, want.kind, called, now) -- BREAK:sync_share
end
if not chosen then
    refuse(t, pool, want.kind, next_turn, till, r.ex, now)
    seen()
    return {'wait', next_turn, int(till - now)}
end

stand_first(name, r.ok) -- BREAK:who_began_is_first
if r.oo == '1' then
    unshelve(name) -- a second message came in its turn
end
local sets = {}
if r.st == 'running' then
    sets = {'a' .. r.n, attempt_row(r, now, '', lost_by), 'db', '1'}
end
if is_lost(r) then
    tenant.add('ind', -1)
    sets = {'er', ''}
    next_check(name, r.ex, now, now + tonumber(t.la or '3600000'))
end
if r.due > 0 then
    redis.call('ZREM', T .. 'w', name)
    sets[#sets + 1], sets[#sets + 2] = 'due', '0'
end
if opt.pk then
    redis.call('ZREM', T .. 'x', name)
end
stop_asking(name, r) -- another policy now
stop_polling(name, r)
local n = r.n + 1
local slot_end = now + setting(ARGV[6])
take_probe(chosen, token, now, slot_end)
note_grant(t, pool, chosen, next_turn, want, now)
if needs_slot(t, chosen, want) then
    take_slot(n, chosen, slot_end, want)
end
served(t, pool, want.kind, opt.mw == '1', now)
return grant(n, chosen, slot_end, rest, unpack(sets))
