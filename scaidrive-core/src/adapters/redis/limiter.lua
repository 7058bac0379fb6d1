-- Counts a request against all of its limits, or against none.
-- KEYS: of each limit a hash, second -> units. ARGV: now (0: this server's), window, cost, then each limit.
-- Returns which limit refuses (0: none), how long to wait then, and of each limit what is left and when more will be.
local now, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if now == 0 then
  now = tonumber(redis.call('TIME')[1])
end

local windows = {}
for i, key in ipairs(KEYS) do
  local used, seconds, past = 0, {}, {}
  local counted = redis.call('HGETALL', key)
  for at = 1, #counted, 2 do
    local second, units = tonumber(counted[at]), tonumber(counted[at + 1])
    if second > now - window then
      used = used + units
      seconds[#seconds + 1] = { at = second, units = units }
    else
      past[#past + 1] = counted[at]
    end
  end
  if #past > 0 then
    redis.call('HDEL', key, unpack(past))
  end
  table.sort(seconds, function(a, b) return a.at < b.at end)
  windows[i] = { used = used, seconds = seconds, limit = tonumber(ARGV[3 + i]) }
end

-- Returns when so many of the units counted will have left the window.
local function free_at(counted, units)
  local left = 0
  for _, second in ipairs(counted.seconds) do
    left = left + second.units
    if left >= units then
      return second.at + window
    end
  end
  return now + window
end

local refused, wait = 0, 0
for i, counted in ipairs(windows) do
  local remaining = math.max(counted.limit - counted.used, 0)
  if remaining < cost then
    refused, wait = i, free_at(counted, cost - remaining) - now
    break
  end
end

local told = { refused, wait }
for i, counted in ipairs(windows) do
  if refused == 0 and cost > 0 then
    redis.call('HINCRBY', KEYS[i], now, cost)
    redis.call('EXPIRE', KEYS[i], window + 1)
    counted.used = counted.used + cost
    if #counted.seconds == 0 then
      counted.seconds[1] = { at = now, units = cost }
    end
  end
  told[#told + 1] = math.max(counted.limit - counted.used, 0)
  told[#told + 1] = counted.used == 0 and now or counted.seconds[1].at + window
end
return told
