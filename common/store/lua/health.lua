-- ARGV: 1 epoch, 2… pairs of instance and '1' (up) or '0' (down). Wakes the workers that wait.
local woke = false
for i = 2, #ARGV, 2 do
    local field = 'up:' .. ARGV[i]
    local before = tenant.get(field) or '1'
    if before ~= ARGV[i + 1] then
        tenant.put(field, ARGV[i + 1])
        woke = woke or ARGV[i + 1] == '1'
    end
end
if woke then
    wake_waiting()
end
return {woke and 1 or 0}
