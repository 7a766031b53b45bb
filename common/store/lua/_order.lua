-- Ordering keys: the jobs of one key run one after the other, in the order in which they took their places. For scripts that say
-- "-- with: _order.lua": all that may take or give up a place, so all that call finish, withdraw, stand or run_again.
--
-- {T}:q:<ordering key>  zset: the key's unended jobs by place. Who has begun stands at 0, first until it ends or is dead: through
--   retries, dead workers, and while it is in doubt. (At 1: who has perhaps, in an earlier memory.) A place is 1000 times the ms at which it was taken (mark or claim, whichever
--   is first), or at which the job is due: so a delayed job takes it when due.
-- {T}:qk  zset: the keys that have a line, by when the sweep last looked at them.
--
-- Out of turn (oo '1'): its request is in {T}:b, a copy of its message in the shelf's queue, and it has no other message. It is
-- not in {T}:h: it waits for another job, not for a person. Who ends the first in line puts the next into the outbox.
local function line(ok)
    return T .. 'q:' .. ok
end

local function first_in_line(ok)
    return redis.call('ZRANGE', line(ok), 0, 0)[1]
end

local function stand_at(name, ok, place)
    redis.call('ZADD', line(ok), 'NX', int(place), name)
    redis.call('ZADD', T .. 'qk', 'NX', '0', ok)
end

-- r: needs ok and due. Who has a place keeps it.
join_line = function(name, r, now)
    if r.ok == '' or redis.call('ZSCORE', line(r.ok), name) then
        return
    end
    local last = tonumber(tenant.get('ql') or '0')
    local place = math.max(now * 1000, last + 1)
    if r.due > now then
        -- With others at the same ms: behind them.
        place = math.max(r.due * 1000 + redis.call('ZCARD', line(r.ok)) % 1000, place)
    else
        tenant.put('ql', int(place))
    end
    stand_at(name, r.ok, place)
end

-- Whoever has begun is first until it ends.
local function stand_first(name, ok)
    if ok ~= '' then
        redis.call('ZADD', line(ok), '0', name)
        redis.call('ZADD', T .. 'qk', 'NX', '0', ok)
    end
end

-- After a loss of memory: one that has perhaps begun is before all that have not, and behind one that surely has.
local function stand_second(name, ok)
    if ok ~= '' then
        stand_at(name, ok, 1)
    end
end

-- The job whose turn has come, and since when it is in the outbox. '' when there is none.

-- The first in line is put into the outbox if it waits on the shelf. Else its message is somewhere, or it holds its key in doubt.
-- One that has ended, or is gone, holds nothing.
local function wake_first(ok, now)
    for _ = 1, 100 do
        local name = first_in_line(ok)
        local r = name and read(name)
        if not name then
            redis.call('ZREM', T .. 'qk', ok)
            return
        elseif r and not FINAL[r.st] then
            if r.oo == '1' then
                to_outbox(name, r, now, r.due)
                redis.call('HSET', T .. 'b:' .. name, 't', '1')
                if r.cl == 'sync' and r.n == 0 then
                    redis.call('ZADD', T .. 'y', int(r.ex > 0 and r.ex or now + 3600000), name)
                end
                turn.name, turn.at = name, int(now)
            end
            return
        end
        redis.call('ZREM', line(ok), name)
    end
end

-- It has ended. Called by finish.
leave_line = function(name, r, now)
    redis.call('ZREM', line(r.ok), name)
    if r.oo == '1' then
        unshelve(name)
    end
    wake_first(r.ok, now) -- BREAK:end_wakes_the_next
end

-- The answer of a script that ended `name`, and with it whose turn it is now and since when that stands in the outbox.
local function and_whose_turn(name, answer)
    if turn.name ~= '' then
        answer[#answer + 1], answer[#answer + 2] = turn.name, turn.at
        redis.call('HSET', job(name), 'nx', turn.name .. ' ' .. turn.at)
    end
    return answer
end

-- The same, of one that is sent again: as long as nobody has published it.
local function and_whose_turn_it_was(name, answer)
    local next_one, at = string.match(redis.call('HGET', job(name), 'nx') or '', '^(%S+) (%S+)$')
    if next_one and tonumber(redis.call('ZSCORE', T .. 'o', next_one) or '-1') == tonumber(at) then
        answer[#answer + 1], answer[#answer + 2] = next_one, at
    end
    return answer
end

-- How many took their places by now: those that are due later take theirs later.
local function in_line_by(ok, now)
    return redis.call('ZCOUNT', line(ok), '-inf', int((now + 1) * 1000))
end

-- Not its turn: some other job of its key has not ended.
local function is_out_of_turn(name, r)
    return r.ok ~= '' and first_in_line(r.ok) ~= name
end

-- The shelf is full: it goes round on the ladder, for ms that are the fewer the nearer its turn is. With n in line that are about
-- 4 ln n claims a second, and n a minute.
local function shelf_full_ms(name, r)
    return int(math.max(1, math.min(240, redis.call('ZRANK', line(r.ok), name) or 240)) * 250)
end

-- For whoever wants to know why a job waits: how many jobs of its key are before it, and which is the first. nil: it has no place.
local function place_in_line(name, r)
    local before = r.ok ~= '' and redis.call('ZRANK', line(r.ok), name)
    if not before then
        return nil
    end
    return before, first_in_line(r.ok)
end

-- The leader's look at `most` lines, those that were not looked at for longest: a first that has ended in some forgotten way, or
-- that nobody woke, blocks its key no longer. Gives how many were woken.
local function sweep_lines(now, most)
    local woken = 0
    for _, ok in ipairs(redis.call('ZRANGEBYSCORE', T .. 'qk', '-inf', int(now - 2000), 'LIMIT', 0, most)) do
        redis.call('ZADD', T .. 'qk', 'XX', int(now), ok)
        turn.name = ''
        wake_first(ok, now)
        woken = woken + (turn.name ~= '' and 1 or 0)
    end
    return woken
end
