-- What stood under a name has ended: no fire matches the cursor d<revision>, and pause, counts and history are gone.
-- ARGV: 1 epoch, 2 schedule, 3 the revision of {sluice}:sd up to which the caller knows that nothing stands there. Gives {'ended'}.
local schedule, fields = ARGV[2], T .. 'c'
redis.call('HSET', fields, schedule, 'd' .. ARGV[3])
redis.call('HDEL', fields, schedule .. ':paused', schedule .. ':runs', schedule .. ':skipped', schedule .. ':at')
redis.call('DEL', fields .. ':' .. schedule)
return {'ended'}
