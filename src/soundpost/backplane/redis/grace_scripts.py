"""Lua scripts about the graces of members, who stay for some seconds after their last connection was lost.

Such a member is stated by a node that never dies, ``~``, in the same keys as other members (see :mod:`.scripts`). So it
is in lists and limits, and leaves as others do, by whichever host sees that its grace is over.

======================  ======  =============================================================================
key                     type    content
======================  ======  =============================================================================
``…users:~:CHANNEL``    set     users whose grace runs
``…linger``             zset    channel, a zero byte, user → end of the grace, in milliseconds
``…nodes}:lingering``   zset    bucket and time → time when a grace in the bucket is over, in milliseconds
======================  ======  =============================================================================
"""

from __future__ import annotations

from typing import Final

from soundpost.backplane.redis.scripts import Script

_TIME: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_LINGER: Final = (
    _TIME
    + """
local function linger(channel, user, milliseconds)
  enter('~', channel, user, '')
  local key, member, till = base .. 'linger', channel .. '\\0' .. user, now + tonumber(milliseconds)
  if till > tonumber(redis.call('ZSCORE', key, member) or '0') then
    redis.call('ZADD', key, string.format('%.0f', till), member)
  end
end
"""
)

LINGER: Final = Script(
    _LINGER
    + """
local channel, user = ARGV[3], ARGV[4]
if redis.call('SISMEMBER', base .. 'users:' .. node .. ':' .. channel, user) == 1 then
  linger(channel, user, ARGV[5])
  if ARGV[6] == '1' then leave(node, channel, user) end
end
return {1, version_of(channel), changes}
"""
)
"""Let a user of the node stay after a connection was lost. Arguments: CHANNEL USER MILLISECONDS LAST.

LAST is 1 if it was the user's last connection on the node. Answer: 1, version, changes."""

LINGER_ALL: Final = Script(
    _LINGER
    + """
local channels = redis.call('HKEYS', base .. 'share:' .. node)
local at, left, stay = tonumber(ARGV[4]), tonumber(ARGV[5]), 0
while at < #channels and left > 0 do
  local channel = channels[at + 1]
  local users = redis.call('SRANDMEMBER', base .. 'users:' .. node .. ':' .. channel, left)
  for _, user in ipairs(users) do
    linger(channel, user, ARGV[3])
    leave(node, channel, user)
  end
  left, stay = left - #users, stay + #users
  if left > 0 then at, left = at + 1, left - 1 end
end
return {at, #channels, stay}
"""
)
"""Let some of the node's users stay after it has ended, at most MOST channels and users together.

Arguments: MILLISECONDS FROM MOST. FROM is a number of channels, counted from 0. Answer: the channel to go on with,
number of all channels of the node, number of users that stay."""

END_GRACE: Final = Script("""
local channel, user = ARGV[3], ARGV[4]
redis.call('ZREM', base .. 'linger', channel .. '\\0' .. user)
leave('~', channel, user)
return {1, version_of(channel), changes}
""")
"""End a user's grace on a channel at once. Arguments: CHANNEL USER. Answer: 1, version, changes."""

SWEEP: Final = Script(
    _TIME
    + """
local key = base .. 'linger'
local due = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[3])
for _, member in ipairs(due) do
  redis.call('ZREM', key, member)
  local zero = string.find(member, '\\0', 1, true)
  local channel = string.sub(member, 1, zero - 1)
  leave('~', channel, string.sub(member, zero + 1), '', hooks and wants('final_graces'))
  if redis.call('HEXISTS', base .. 'total', channel) == 0 then redis.call('HDEL', base .. 'version', channel) end
end
local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
return {#due, first[2] and math.max(0, tonumber(first[2]) - now) or -1, changes}
"""
)
"""Remove up to MOST users whose grace is over. Arguments: MOST.

Answer: number of users removed, milliseconds until the next grace is over (-1: none runs), changes."""

NOTE_GRACE: Final = Script(
    _TIME
    + """
-- One note for all graces of a second. A note that has been handed out is not written again, as the time goes on: so
-- whoever is done with it may remove it.
local due = (math.floor((now + tonumber(ARGV[3])) / 1000) + 1) * 1000
redis.call('ZADD', base .. 'lingering', string.format('%.0f', due), string.format('%s %.0f', ARGV[4], due))
return due - now
"""
)
"""Note that a grace in a bucket is over in so many milliseconds. Arguments: MILLISECONDS BUCKET.

Answer: milliseconds until the note is due."""

DUE_GRACES: Final = Script(
    _TIME
    + """
local key = base .. 'lingering'
local due = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
for _, note in ipairs(due) do redis.call('ZADD', key, string.format('%.0f', now + tonumber(ARGV[3])), note) end
local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
return {due, first[2] and tonumber(first[2]) - now or -1}
"""
)
"""Take the notes that are due; who dies over them has them taken by another host after so many MILLISECONDS.

Answer: notes, milliseconds until the next one is due (-1: there is none)."""

ALL: Final = (LINGER, LINGER_ALL, END_GRACE, SWEEP, NOTE_GRACE, DUE_GRACES)
"""All scripts of this module."""
