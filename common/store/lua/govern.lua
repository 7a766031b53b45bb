-- What operators say of a registered tenant, beside its document. ARGV: 1 epoch, then pairs of name and value: rv the overlay's
-- revision, paused the note or '', drain names of instances by line ends (all others do not drain), up an instance that is
-- taken for healthy, being new. Wakes the workers that wait.
-- Gives {1} changed, {0} the same, {-2, revision} said by a later revision: read the overlay again.
local opt = options(2)
local t = tenant.all()
local revision = tonumber(t.rv or '0')
if revision > tonumber(opt.rv) then
    return {-2, revision} -- BREAK:newest_word_stands
end
local changed = false
local function set(field, value)
    if value and t[field] ~= value then
        tenant.put(field, value)
        changed = true
    elseif not value and t[field] then
        tenant.drop(field)
        changed = true
    end
end

set('paused', opt.paused ~= '' and opt.paused or nil)
local drains = {}
for name in string.gmatch(opt.drain or '', '[^\n]+') do
    drains[name] = true
    set('dr:' .. name, '1')
end
for field in pairs(t) do
    local name = string.match(field, '^dr:(.*)$')
    if name and not drains[name] then
        set(field, nil)
    end
end
if opt.up and t['up:' .. opt.up] == '0' then
    set('up:' .. opt.up, nil)
end
-- Also when nothing changed here: the document may have, just before.
if (opt.paused or '') == '' then
    wake_waiting()
end
return {changed and 1 or 0}
