-- The last fires of a schedule, the newest first. ARGV: 1 epoch, 2 schedule. Gives of each kind, instant, when, name of the job, and
-- the job's state, or '' when its record is gone.
local found = {}
for _, row in ipairs(redis.call('LRANGE', T .. 'c:' .. ARGV[2], 0, -1)) do
    local kind, at, fired, name = string.match(row, '^(%S+) (%S+) (%S+) (%S+)$')
    for _, value in ipairs({kind, at, fired, name, redis.call('HGET', job(name), 'st') or ''}) do
        found[#found + 1] = value
    end
end
return found
