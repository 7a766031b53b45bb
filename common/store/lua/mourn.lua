-- ARGV: 1 epoch, 2 worker. The mark stands where the tenant's scripts look. Marks older than thirty
-- days go: no slot and no attempt lasts that long. Gives {1}.
local now = now_ms()
redis.call('ZADD', T .. 'd', 'NX', int(now), ARGV[2])
redis.call('ZREMRANGEBYSCORE', T .. 'd', '-inf', int(now - 30 * 86400000))
return {1}
