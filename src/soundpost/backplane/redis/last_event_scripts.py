"""Lua script that keeps the last event of a cache channel; see :mod:`.scripts` for its keys."""

from __future__ import annotations

from typing import Final

from soundpost.backplane.redis.scripts import Script

NOTE_KEPT: Final = """
local function forget(oldest)
  for i = 1, #oldest, 2 do
    redis.call('DEL', base .. 'last:' .. oldest[i])
    if redis.call('HEXISTS', base .. 'total', oldest[i]) == 1 then announce(oldest[i], '~') end
  end
end

local function note_kept(channel, ttl, most)
  local kept = base .. 'kept'
  local newest = redis.call('ZREVRANGE', kept, 0, 0, 'WITHSCORES')
  -- Counted, not timed: a clock that is set back must not make the newest one the oldest. What has expired stays in its
  -- place, which is among the first to be given away.
  if newest[1] ~= channel and redis.call('ZADD', kept, (newest[2] or 0) + 1, channel) == 1 then
    local excess = redis.call('ZCARD', kept) - most
    if excess > 0 then forget(redis.call('ZPOPMIN', kept, excess)) end
  end
  redis.call('PEXPIRE', kept, ttl)
end
"""

KEEP: Final = Script(
    NOTE_KEPT
    + """
local channel, frame, ttl, most = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local origin, number, excluded = ARGV[7], ARGV[8], ARGV[9]
local version = next_version(channel)
redis.call('SET', base .. 'last:' .. channel, version .. ' ' .. frame, 'PX', ttl)
note_kept(channel, ttl, most)
if redis.call('HEXISTS', base .. 'total', channel) == 0 then redis.call('HDEL', base .. 'version', channel) end
announce(channel, '!', version, origin, number, excluded, frame)
return {1, version, changes}
"""
)
"""Keep and publish the last event of a cache channel; the bucket keeps the events of at most MOST channels.

Arguments: CHANNEL FRAME MILLISECONDS MOST ORIGIN NUMBER EXCLUDED. Answer: 1, version, changes."""
