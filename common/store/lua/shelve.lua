-- with: _order.lua
-- with: _offload.lua
-- ARGV: 1 epoch, 2 name, 3 n seen, 4 token seen, 5 reason, 6 shelf head, 7 shelf body, 8 shelf bound,
-- 9 'in_doubt' or 'failed' (dead: attempts used up), 10 window_ms, 11… fields for a record that is missing
-- (n seen '-1'), or whose message cannot be read.
-- Gives {'shelved'} (also when it is so already; of failed also whose turn it is now, as complete.lua), {'full'} or {'changed', state}: look again.
local name, n, token, reason = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local now = now_ms()
local r = read(name)
if n == -1 then
    if r and (FINAL[r.st] or (r.st == 'in_doubt' and not is_lost(r))) then
        return {'shelved', r.st}
    end
    if r and (reason == 'undecodable' or reason == 'tenant_unknown') and r.st ~= 'running' then
        -- Its message cannot be read, or has no queue: nobody sends it, a person decides.
        if not put_on_shelf(name, now, ARGV[6], ARGV[7], tonumber(ARGV[8])) then
            return {'full', ''}
        end
        leave(name, r)
        tenant.add('ind', 1)
        redis.call('HSET', job(name), 'st', 'in_doubt', 'er', reason, 'sh', '1', 'rc', '')
        come_into_turn(name)
        join_line(name, r, now)
        announce(name, r, 'in_doubt', '')
        return {'shelved', ''}
    end
    if r then
        return {'changed', r.st}
    end
    if not put_on_shelf(name, now, ARGV[6], ARGV[7], tonumber(ARGV[8])) then
        return {'full', ''}
    end
    redis.call('HSET', job(name), 'st', 'in_doubt', 'er', reason, 'ca', int(now), 'n', '0', 'cnt', '0', 'ex', '0',
               'due', '0', 'xa', '0', 'sh', '1', 'ps', '1', unpack(ARGV, 11)) -- it may have been sent: its key stays
    unended.put(name, now + 86400000)
    stand_second(name, redis.call('HGET', job(name), 'ok') or '') -- it may have begun: it holds its key
    tenant.add('ind', 1)
    local key = redis.call('HGET', job(name), 'k')
    if key and key ~= '' and not redis.call('SET', T .. 'k:' .. key, name, 'NX') then
        redis.call('HSET', job(name), 'k', '') -- another job has it by now
    end
    return {'shelved', ''}
end
if not r then
    return {'changed', ''}
end
if r.n == n and r.sh == '1' then
    return {'shelved', ''}
end
if r.n ~= n or r.tk ~= token or not (r.st == 'running' or (r.db == '1' and (r.st ~= 'in_doubt' or is_lost(r)) and not FINAL[r.st])) then
    return {'changed', r.st} -- BREAK:shelve_by_compare
end
if r.st == 'running' and r.of == '1' and not offload_is_over(name, now) then
    return {'changed', r.st}
end
if r.st == 'running' and r.of ~= '1' and now < r.se and not is_dead(r.w) then
    -- Its worker's next incarnation has taken the attempt along, and may send it.
    return {'changed', r.st} -- BREAK:shelve_looks_at_holder
end
if not put_on_shelf(name, now, ARGV[6], ARGV[7], tonumber(ARGV[8])) then
    redis.call('HSET', job(name), 'sn', int(now + 3600000)) -- parked for an hour at most
    return {'full', ''}
end
local sets = {}
if r.st == 'running' then
    sets = {'a' .. r.n, attempt_row(r, now, '', reason)}
end
if ARGV[9] == 'failed' then
    sets[#sets + 1] = 'er'
    sets[#sets + 1] = reason
    sets[#sets + 1] = 'sh'
    sets[#sets + 1] = '1'
    finish(name, r, 'failed', now, sets, {record_ms = 86400000, window_ms = tonumber(ARGV[10]), result_ms = 86400000}, '')
    redis.call('PERSIST', job(name))
    return and_whose_turn(name, {'shelved', ''})
end
leave(name, r)
tenant.add('ind', 1)
redis.call('HSET', job(name), 'st', 'in_doubt', 'er', reason, 'db', '1', 'sh', '1', 'rc', '', unpack(sets))
announce(name, r, 'in_doubt', '')
return {'shelved', ''}
