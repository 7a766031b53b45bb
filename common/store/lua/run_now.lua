-- with: _order.lua
-- with: _fire.lua
-- A job of a schedule out of its time, whatever the overlap and while it is paused, too: the cursor stays. ARGV: 1 epoch, 2 schedule,
-- 3 name of the job, from 4 on the job (make_job in _fire.lua).
-- Gives {'fired'}, {'there'}: it has been made already, or {'memory'}.
local name = ARGV[3]
if tenant.get('ep') ~= EPOCH then
    return {'memory'}
end
if redis.call('EXISTS', job(name)) == 1 then
    return {'there'} -- BREAK:a_run_is_made_once
end
make_job(name, now_ms(), 4)
return {'fired'}
