-- with: _moods.lua
-- with: _pool.lua
-- What a tenant's instances are in the mood for, to be shown. Writes nothing.
-- ARGV: 1 epoch; from 2 on options: adaptive (_moods.lua).
-- Gives, of each instance, four in a row: name, the breaker's word, until when it cools (0: it does not), its adaptive limit
-- (0: it has none).
local opt = options(2)
local now = now_ms()
local t = tenant.all()
local pool = read_pool(t)
set_moods(t, pool, opt, now)
local rows = {}
for _, i in ipairs(pool) do
    local till = math.max(tonumber(t.cool or '0'), tonumber(t['cool:' .. i.name] or '0'))
    rows[#rows + 1] = i.name
    rows[#rows + 1] = breaker_word(t['br:' .. i.name], now)
    rows[#rows + 1] = till > now and int(till) or '0'
    rows[#rows + 1] = i.found or 0
end
return rows
