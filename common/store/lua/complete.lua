-- with: _moods.lua
-- with: _pool.lua
-- with: _order.lua
-- with: _load.lua
-- ARGV: 1 epoch, 2 name, 3 n, 4 token, 5 verdict, 6 state, 7 status or '', 8 error or '', 9 answer or '',
-- 10 answer's body bytes, 11 '1' when the slot is free now, 12 ms until the retry, 13 record_ms,
-- 14 window_ms, 15 result_ms, 16 brief_ms, 17 shelf head, 18 shelf body, 19 shelf bound in bytes,
-- 20 '1': the instance refused the connection, 21 '1': it never left; from 22 on options: what the outcome says of the
-- instance (feel in _moods.lua), and for elsewhere attempts (the most counted) and uncounted (the most that are not).
-- Verdicts: end (state succeeded|failed), dead (failed, to the shelf), retry (answered, again later), elsewhere (answered,
-- and the answer cools: again when some instance may take it, not counted; beyond the bound like retry),
-- unsent (again later, not counted), doubt (may have arrived; policy retry: again later), ask (likewise,
-- policy ask: the tenant is asked after the slot's end), hold (in doubt, to the shelf), offload (a pending answer: polled from 12
-- on; options ofu URL to poll or '' when the tenant will post the outcome, ofm most ms, ofg ms of linger). An outcome that the
-- tenant posted has the option cd, its digest: only the same one gets the same answer.
-- Gives {what happened, due} (waiting: also the ms until then): ended | waiting | in_doubt | outbox | late | full | missing (no
-- record, or one that has forgotten this attempt: register it again first); for elsewhere also {instead, why}: deadline |
-- attempts_used_up (nothing was changed: another verdict is due). Of ended also: the name of the job whose turn it is now
-- (_order.lua), and since when it is in the outbox.
local name, n, token, verdict, status, error = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[7], ARGV[8]
local opt = options(22)
local now = now_ms()
local r = read(name)
local mine = n .. ':' .. token
if not r and MEMORY == 'k' and tenant.get('ep') == EPOCH then
    -- Nothing was forgotten: somebody else ended it, so long ago that its record went in order. It must not come back to life.
    free_slot(name, n, token)
    return {'late', '0'}
end
if not r or (r.n < n and not FINAL[r.st]) then
    return {'missing', '0'} -- BREAK:registered_before_complete
end
if verdict == 'offload' and redis.call('HGET', job(name), 'ofd') == mine and r.dn ~= mine then
    return {'waiting', int(r.ofp), int(math.max(0, r.ofp - now))} -- BREAK:offload_once
end
local is_other = opt.cd and redis.call('HGET', job(name), 'cd') ~= mine .. ':' .. opt.cd
if r.dn == mine and verdict ~= 'offload' and not is_other then
    return and_whose_turn_it_was(name, {r.dv, int(r.due), r.dv == 'waiting' and int(math.max(0, r.due - now)) or nil}) -- BREAK:complete_once
end
local is_noted = r.of == '1' and not slots.get(name .. ':' .. ARGV[3] .. ':' .. token)
-- Where slots are counted for nothing, latency is not either (needs_slot in _pool.lua): most tenants are spared the look.
local had_slot = true
if ARGV[11] == '1' then
    had_slot = free_slot(name, n, token)
end
local is_newest = r.n == n and r.tk == token
if ARGV[20] == '1' and is_newest then -- else r.i is another's instance
    tenant.put('up:' .. r.i, '0')
end
-- A complete answer settles what is in doubt by now, too; only the newest attempt settles anything.
local is_answer = verdict == 'end' or verdict == 'dead' or verdict == 'retry' or verdict == 'elsewhere'
local settles = r.st == 'running'
settles = settles or is_answer -- BREAK:late_answer_settles
settles = settles and is_newest -- BREAK:fence
-- A dead letter of what a person has run again meanwhile: its shelf copy may have left the shelf's queue.
local has_no_copy = false
has_no_copy = verdict == 'dead' and r.st ~= 'running' and r.sh ~= '1' -- BREAK:dead_has_its_copy
if FINAL[r.st] or not settles or has_no_copy then
    redis.call('HSET', job(name), 'lt' .. n, status .. '\t' .. error)
    if is_newest then
        settle_probe(r.i, opt, token, now)
    end
    return {'late', '0'}
end
local keep = keeping(r, ARGV, 13)
local was_shelved = r.sh == '1' or r.oo == '1'
local row = attempt_row(r, now, status, error)

if verdict == 'offload' then
    local till = now + tonumber(opt.ofm)
    local due = opt.ofu ~= '' and math.min(now + tonumber(ARGV[12]), till) or till
    local slot_end = till + tonumber(opt.ofg)
    local field = name .. ':' .. n .. ':' .. token
    local slot = slots.get(field)
    if slot then
        local _, holder, instance, kind, key = slot_parts(slot)
        slots.put(field, slot_row(slot_end, holder, instance, kind, key))
    end
    redis.call('HSET', job(name), 'of', '1', 'ofu', opt.ofu, 'oft', int(till), 'ofp', int(due), 'ofn', '0', 'ofz', '0', 'ofx', '', 'ofl', '0',
               'se', int(slot_end), 'ofd', mine, 'a' .. n, r.i .. '\t' .. int(r.sa) .. '\t\t' .. status .. '\t')
    redis.call('ZADD', T .. 'f', int(now), name) -- BREAK:offloaded_is_counted
    next_check(name, r.ex, now, due + lost_after_ms())
    -- This was the instance's answer to the call. How long it works on says nothing of that.
    feel(r, token, opt, ARGV[11], now) -- BREAK:offloaded_is_answered
    note_latency(r.i, now - r.sa, true, now)
    if not slot then
        note_took(math.max(0, now - r.sa), nil, now) -- nobody waits for the rest of it
    end
    return {'waiting', int(due), int(due - now)}
end

-- At which instant it may go on, with this answer's cooling. What it waits for by then but for an instant is the claim's to say.
local function elsewhere_at()
    local t = setmetatable({}, {__index = tenant.all()}) -- for this look only
    local pool = read_pool(t)
    local field = opt.cools == 'tenant' and 'cool' or 'cool:' .. r.i
    t[field] = int(math.max(now + tonumber(opt.cool), tonumber(t[field] or '0')))
    set_moods(t, pool, opt, now)
    local chosen, why, at = choose(t, pool, now, wanted(t, r.cl, {}))
    local is_instant = not chosen and (why == 'cooling' or why == 'breaker' or why == 'rate')
    return is_instant and at or now
end

local onward, uncounted, is_uncounted = 0, 0, false
if verdict == 'elsewhere' then
    uncounted = tonumber(redis.call('HGET', job(name), 'uc') or '0') + 1
    is_uncounted = true
    is_uncounted = uncounted <= tonumber(opt.uncounted) -- BREAK:uncounted_is_bounded
    if not is_uncounted and r.cnt >= tonumber(opt.attempts) then
        return {'instead', 'attempts_used_up'}
    end
    onward = is_uncounted and elsewhere_at() or now + tonumber(ARGV[12])
    if r.ex > 0 and onward >= r.ex then
        return {'instead', 'deadline'}
    end
end

-- What goes to the shelf must fit before anything changes.
if verdict == 'dead' or verdict == 'hold' then
    if not put_on_shelf(name, now, ARGV[17], ARGV[18], tonumber(ARGV[19])) then
        return {'full', '0'}
    end
end

if ARGV[20] ~= '1' and ARGV[21] ~= '1' and not is_noted then
    note_attempt(r, now)
end

feel(r, token, opt, ARGV[11], now)

if is_answer and ARGV[21] ~= '1' and r.cnt == 0 then
    r.cnt = 1 -- it was taken for one that never arrived: it did, and its key is used
    redis.call('HSET', job(name), 'cnt', 1)
end

if ARGV[21] ~= '1' and verdict ~= 'unsent' and r.of ~= '1' and had_slot then
    note_latency(r.i, now - r.sa, status ~= '', now)
end

local function done(gave, ...)
    redis.call('HSET', job(name), 'dn', mine, 'dv', gave, 'a' .. n, row, ...)
end

if opt.cd then
    redis.call('HSET', job(name), 'cd', mine .. ':' .. opt.cd)
end
if verdict == 'end' or verdict == 'dead' then
    local answer = ARGV[9]
    if verdict == 'end' and ARGV[21] == '1' then
        r.cnt = math.max(0, r.cnt - 1) -- never left: not counted
        redis.call('HSET', job(name), 'cnt', r.cnt)
        if r.ls ~= '' then
            -- The tenant's last answer is the outcome.
            answer = redis.call('GET', T .. 'r:' .. name) or ''
            status = r.ls
        end
    end
    if answer == '' then
        redis.call('DEL', T .. 'r:' .. name) -- an earlier attempt's answer is not this outcome's
    end
    local sets = {'os', status, 'ob', ARGV[10], 'dn', mine, 'dv', 'ended', 'a' .. n, row}

    local function set(field, value)
        sets[#sets + 1], sets[#sets + 2] = field, value
    end

    if error ~= '' or r.er ~= '' then
        set('er', error)
    end
    if r.db ~= '' then
        set('db', '0')
    end
    if verdict == 'dead' then
        set('sh', '1')
    end
    finish(name, r, ARGV[6], now, sets, keep, answer)
    if verdict == 'dead' then
        redis.call('PERSIST', job(name))
    elseif was_shelved then
        unshelve(name)
    end
    return and_whose_turn(name, {'ended', '0'})
end

if verdict == 'hold' then
    leave(name, r)
    tenant.add('ind', 1)
    done('in_doubt', 'st', 'in_doubt', 'er', error, 'db', '1', 'sh', '1', 'rc', '', 'os', status)
    announce(name, r, 'in_doubt', ARGV[9])
    if ARGV[9] ~= '' then
        redis.call('SET', T .. 'r:' .. name, ARGV[9])
    end
    return {'in_doubt', '0'}
end

if (verdict == 'retry' or verdict == 'elsewhere' or verdict == 'ask') and ARGV[9] ~= '' then
    redis.call('SET', T .. 'r:' .. name, ARGV[9])
end
if verdict == 'ask' then
    begin_asking(name, r, now)
    done('waiting', 'os', status)
    return {'waiting', int(r.due), int(r.due - now)}
end
local due = now + tonumber(ARGV[12])
if verdict == 'elsewhere' then
    due = onward
    local cnt = r.cnt
    cnt = is_uncounted and cnt - 1 or cnt -- BREAK:cooled_is_uncounted
    redis.call('HSET', job(name), 'uc', uncounted, 'cnt', cnt)
    redis.call('HSET', job(name), 'ps', '1') -- BREAK:uncounted_keeps_its_key
end
if was_shelved then
    to_outbox(name, r, now, due)
    done('outbox', 'ls', status, 'db', '0')
    return {'outbox', int(due)}
end
leave(name, r)
if r.st == 'in_doubt' then
    next_check(name, r.ex, now, due) -- it was lost, and is looked after again
    redis.call('HSET', job(name), 'er', '')
end
redis.call('ZADD', T .. 'w', int(due), name)
if verdict == 'retry' or verdict == 'elsewhere' then
    done('waiting', 'st', 'waiting', 'due', int(due), 'ls', status, 'db', '0')
elseif verdict == 'unsent' then
    done('waiting', 'st', 'waiting', 'due', int(due), 'cnt', math.max(0, r.cnt - 1))
else
    done('waiting', 'st', 'waiting', 'due', int(due), 'db', '1')
end
return {'waiting', int(due), int(due - now)}
