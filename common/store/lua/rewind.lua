-- A schedule that waits for the clock, which was wrong when it fired last, goes on: its cursor moves back. Nothing else changes: what
-- has fired has its job, and its instant makes no other while that is kept (fire.lua).
-- ARGV: 1 epoch, 2 schedule, 3 cursor as it was read, 4 the new one. Gives {what happened, cursor}: rewound | behind (the cursor is
-- another) | memory.
local schedule = ARGV[2]
if tenant.get('ep') ~= EPOCH then
    return {'memory', ''}
end
local cursor = redis.call('HGET', T .. 'c', schedule) or ''
if cursor ~= ARGV[3] then
    return {'behind', cursor} -- BREAK:a_rewind_is_of_what_was_read
end
redis.call('HSET', T .. 'c', schedule, ARGV[4])
return {'rewound', ARGV[4]}
