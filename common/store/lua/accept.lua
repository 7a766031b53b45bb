-- with: _moods.lua
-- with: _pool.lua
-- with: _order.lua
-- with: _load.lua
-- with: _follow.lua
-- ARGV: 1 epoch, 2 name, 3 key or '', 4 fingerprint, 5 class, 6 'wait' or 'async', 7 ms until the
-- caller's deadline (0 never), 8 ms until the job's own (0 never), 9 ms until it is due (0 now),
-- 10 "channel|waiter" or '', 11 accept lease in ms, or 'follows <epoch> <generation> <created>': its message went first, and is
-- confirmed (_follow.lua); likewise 'promised …': its caller was told that it goes on, so that it is not turned away; 12 max_queue,
-- 13… further fields of the record.
-- Gives {verdict, name, now, …}: new wait trend together state | undone | replay state | busy ms | reused | full ms | shed ms | memory | forgotten (its
-- message went first, and the record may have come and gone since).
-- wait, trend, together: _load.lua's figures. shed: it could not be worked off before its deadline; nothing was written.
local name, key, fingerprint, mode, waiter = ARGV[2], ARGV[3], ARGV[4], ARGV[6], ARGV[10]
if tenant.know(mode == 'wait' and LOOKED_AT_SYNC or LOOKED_AT).ep ~= EPOCH then
    return {'memory', name, '0'}
end
local now = now_ms()

local function from_now(text)
    local ms = text == '0' and 0 or tonumber(text)
    return ms > 0 and now + ms or 0
end

-- A caller that got no answer sends the same again.
local again = redis.call('HGET', job(name), 'st')
if again then
    local most = setting(ARGV[12])
    local brisk = together(now, most > 0 and unended.count() or 0, most)
    return {again == 'canceled' and 'undone' or 'new', name, int(now), '0', '0', brisk, again} -- BREAK:accept_by_name
end
local is_promised = string.sub(ARGV[11], 1, 9) == 'promised '
local follows = is_promised or string.sub(ARGV[11], 1, 8) == 'follows '
if follows and not was_never_written(now, string.match(ARGV[11], '^%a+ (%S+) (%d+) (%d+)$')) then
    return {'forgotten', name, int(now)} -- BREAK:only_the_unforgotten_is_entered
end

-- Nothing was accepted. What went first must not run.
local function turn_away(...)
    if follows then
        withdraw_unknown(name, now, 86400000) -- BREAK:turned_away_does_not_run
    end
    return {...}
end

local function join(held, r)
    if not FINAL[r.st] and r.st ~= 'in_doubt' then
        if mode == 'wait' then
            local rc = string.find(r.rc, waiter, 1, true) and r.rc or (r.rc .. ' ' .. waiter)
            redis.call('HSET', job(held), 'rc', rc, 'ex', int(later(r.ex, from_now(ARGV[7])))) -- BREAK:latest_deadline
        else
            redis.call('HSET', job(held), 'o2', '1', 'ex', int(later(r.ex, r.xa))) -- BREAK:given_202_lifts_deadline
        end
    end
    return {'replay', held, int(now), r.st}
end

if key ~= '' then
    local held = redis.call('GET', T .. 'k:' .. key)
    local r = held and read(held)
    if r then
        if r.fp ~= fingerprint then
            return {'reused', held, int(now)} -- BREAK:key_of_one_request
        end
        if r.st ~= 'accepted' then
            return join(held, r)
        end
        if now < r.al then
            return {'busy', held, int(now), int(r.al - now)} -- BREAK:takeover_by_lease
        end
        if may_have_been_marked(held) then
            -- From here on it is not undone, by its own ingress neither: this caller may get a 202.
            stand(held, r, now, lost_after_ms())
            return join(held, r)
        end
        withdraw(held, r, now) -- BREAK:takeover_undoes_first
    end
end

local bound = setting(ARGV[12])
local n_unended = unended.count()
if bound > 0 and n_unended >= bound and not is_promised then
    return turn_away('full', name, int(now), int(room_ms(now, bound)))
end
local own = from_now(ARGV[8])
local due = from_now(ARGV[9])
local deadline = mode == 'wait' and from_now(ARGV[7]) or own
local lease = follows and 0 or now + setting(ARGV[11])
-- Who waits with a 202 at its end (wn) is not too late by then; who begins later has a queue that nobody knows.
local is_sync = mode == 'wait'
local more = options(13)
local is_call = is_sync and more.wn ~= '1'
local within = due == 0 and (is_call and deadline or own) or 0
within = within > 0 and not is_promised and within - now or 0
local late_ms, wait_ms, trend_ms = look_once(now, within, is_sync, n_unended)
if not late_ms and more.ok then
    late_ms = look_at_line(now, within, in_line_by(more.ok, now))
end
if late_ms then
    return turn_away('shed', name, int(now), int(late_ms))
end
-- What is as _common.lua's BLANK says is not written: a field is dear, and most jobs are plain.
local state = follows and 'queued' or 'accepted'
local sets = {'st', state, 'ca', int(now), unpack(ARGV, 13)}

local function set(field, value)
    local n = #sets
    sets[n + 1], sets[n + 2] = field, value
end

if deadline > 0 then set('ex', int(deadline)) end
if own > 0 then set('xa', int(own)) end
if due > 0 then set('due', int(due)) end
if ARGV[5] ~= 'normal' then set('cl', ARGV[5]) end
if waiter ~= '' then set('rc', waiter) end
if mode == 'async' then set('o2', '1') end
if key ~= '' then
    set('k', key)
    set('fp', fingerprint)
    set('al', int(lease))
end
redis.call('HSET', job(name), unpack(sets))
if key ~= '' then
    redis.call('SET', T .. 'k:' .. key, name) -- BREAK:key_with_record
end
unended.enter(name, follows and first_check(deadline, now) or lease)
if is_sync then
    redis.call('ZADD', T .. 'y', int(is_call and deadline or now + 3600000), name)
end
return {'new', name, int(now), int(wait_ms), int(trend_ms), together(now, n_unended, bound), state}
