-- ARGV: 1 epoch, 2 name. One dead letter as it stands. Gives {'missing'}, {'not_on_shelf', state}, or
-- {'dead', shelved, bytes, head of the request, the record's fields and values}.
local name = ARGV[2]
local v = redis.call('HMGET', job(name), 'st', 'sh')
if not v[1] then
    return {'missing'}
end
if v[2] ~= '1' then
    return {'not_on_shelf', v[1]}
end
local b = redis.call('HMGET', T .. 'b:' .. name, 'h', 'q')
return {'dead', redis.call('ZSCORE', T .. 'h', name) or '0', b[2] or '0', b[1] or '', redis.call('HGETALL', job(name))}
