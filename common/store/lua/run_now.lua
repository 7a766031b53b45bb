-- with: _order.lua
-- with: _fire.lua
-- A job of a schedule out of its time, whatever the overlap and while it is paused, too: the cursor stays, and nothing is counted.
-- ARGV: 1 epoch, 2 schedule, 3 kind (run | backfill), 4 the instant that it is for, 5 name of the job, from 6 on the job (make_job
-- in _fire.lua).
-- Gives {'fired'}, {'there'}: it has been made already, or {'memory'}.
local name = ARGV[5]
if tenant.get('ep') ~= EPOCH then
    return {'memory'}
end
if redis.call('EXISTS', job(name)) == 1 then
    return {'there'} -- BREAK:a_run_is_made_once
end
make_job(ARGV[2], ARGV[3], ARGV[4], name, now_ms(), 6)
return {'fired'}
