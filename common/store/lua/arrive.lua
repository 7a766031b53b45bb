-- KEYS[1] '{sluice}:epoch', ARGV[1] a candidate epoch, ARGV[2] the server's run_id.
-- Gives {epoch, generation}: the epoch is drawn once, when the store is born; a generation begins
-- with every new life of the server.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
if redis.call('HSETNX', '{sluice}:run', ARGV[2], '1') == 1 then
    redis.call('INCR', '{sluice}:generation')
end
return {redis.call('GET', KEYS[1]), tonumber(redis.call('GET', '{sluice}:generation'))}
