-- KEYS[1] '{sluice}:epoch', ARGV[1] a candidate epoch, ARGV[2] the server's run_id, ARGV[3] the epoch that the caller knows,
-- ARGV[4] '{sluice}:seen:<the caller's name>', ARGV[5] the counter that was confirmed to it (0: none), ARGV[6] how many ms it is kept.
-- Gives {epoch, generation, forgot}: the epoch is drawn once, when the store is born; a generation begins with every new life of the
-- server, and with every notice that what it had confirmed is gone. forgot: the last generation that began so; 0 none.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local epoch = redis.call('GET', KEYS[1])
if redis.call('HGET', '{sluice}:run', 'now') ~= ARGV[2] then
    redis.call('HSET', '{sluice}:run', 'now', ARGV[2])
    redis.call('INCR', '{sluice}:generation')
end
-- What a replica has is a prefix of what was written: a counter that fell back took all that was written after it along.
local is_lost = false
if ARGV[3] == epoch and tonumber(ARGV[5]) > 0 then
    is_lost = tonumber(redis.call('GET', ARGV[4]) or '0') < tonumber(ARGV[5]) -- BREAK:loss_is_noticed
end
if is_lost then
    redis.call('SET', ARGV[4], ARGV[5], 'PX', ARGV[6]) -- once noticed
    redis.call('SET', '{sluice}:forgot', redis.call('INCR', '{sluice}:generation'))
end
return {epoch, tonumber(redis.call('GET', '{sluice}:generation')), tonumber(redis.call('GET', '{sluice}:forgot') or '0')}
