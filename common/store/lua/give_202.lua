-- ARGV: 1 epoch, 2 name, 3 "channel|waiter" that leaves. A caller that waited is answered 202: the job
-- now lives until its own deadline, or for ever. Gives {state}; nothing is done for one still 'accepted'.
local name = ARGV[2]
local r = read(name)
if not r then
    return {''}
end
if r.st == 'accepted' then
    return {'accepted'} -- not known to stand yet: no 202 before the confirm
end
if not FINAL[r.st] and r.st ~= 'in_doubt' then
    local rest = {}
    for waiter in string.gmatch(r.rc, '%S+') do
        if waiter ~= ARGV[3] then
            rest[#rest + 1] = waiter
        end
    end
    redis.call('HSET', job(name), 'rc', table.concat(rest, ' '))
    redis.call('HSET', job(name), 'o2', '1', 'ex', int(later(r.ex, r.xa))) -- BREAK:given_202_lifts_deadline
end
return {r.st}
