-- with: _moods.lua
-- with: _pool.lua
-- with: _order.lua
-- A worker says again what it runs: the store may have forgotten. Rebuilds the record and the slot that fell behind.
-- ARGV: 1 epoch, 2 name, 3 n, 4 token, 5 worker, 6 instance, 7 start, 8 slot's end, 9 counted attempts, 10 key, 11 fingerprint,
-- 12 class, 13 created, 14 reply channel or '', 15 lost_after in ms, 16 the job's own deadline, 17... further fields;
-- among them pk, the key of per_key.
-- Gives {what}: kept (nothing to do) | restored | memory.
local name, n, token, worker, instance, key = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], ARGV[10]
local now = now_ms()
if tenant.get('ep') ~= EPOCH then
    return {'memory'}
end
local r = read(name)
if r and (r.n >= n or FINAL[r.st]) then
    return {'kept'}
end
if r then
    leave(name, r)
    if r.sh == '1' or r.oo == '1' then
        unshelve(name)
    end
else
    redis.call('HSET', job(name), 'cl', ARGV[12], 'fp', ARGV[11], 'k', '', 'ca', ARGV[13], 'al', '0', 'ex', ARGV[16], 'xa', ARGV[16],
               'o2', '1', 'rc', ARGV[14] ~= '' and (ARGV[14] .. '|-') or '', unpack(ARGV, 17))
    if key ~= '' and redis.call('SET', T .. 'k:' .. key, name, 'NX') then
        redis.call('HSET', job(name), 'k', key)
    end
end
redis.call('HSET', job(name), 'st', 'running', 'n', n, 'tk', token, 'w', worker, 'i', instance, 'sa', ARGV[7], 'se', ARGV[8],
           'cnt', ARGV[9], 'due', '0', 'er', '', 'os', '')
redis.call('PERSIST', job(name))
stand_first(name, redis.call('HGET', job(name), 'ok') or '') -- BREAK:registered_again_is_first
tenant.add('run', 1)
next_check(name, r and r.ex or tonumber(ARGV[16]), now, tonumber(ARGV[8]) + tonumber(ARGV[15]))
local t = tenant.all()
local want = wanted(t, ARGV[12], options(17))
local chosen = {name = instance, limit = 0, c = 'c:' .. instance}
for _, i in ipairs(read_pool(t)) do
    chosen = i.name == instance and i or chosen
end
-- Under an adaptive limit each slot counts; one too many does no harm.
local is_adaptive = string.find(redis.call('GET', T .. 'doc') or '', '"adaptive"', 1, true)
if is_adaptive or needs_slot(t, chosen, want) then
    local field = name .. ':' .. n .. ':' .. token
    if not slots.get(field) then
        slots.put(field, slot_row(tonumber(ARGV[8]), worker, instance, want.kind, want.key))
        note_slot(chosen, want)
    end
end
return {'restored'}
