"""Lua scripts that change and state the subscriptions and members of a node; see :mod:`.scripts` for their keys."""

from __future__ import annotations

from typing import Final

from soundpost.backplane.redis.scripts import Script

SILENTLY: Final = "0"
"""Value of ANNOUNCE in scripts that state counts: send subscribers no count."""
IF_CHANGED: Final = "1"
"""Value of ANNOUNCE: send subscribers the channel's count if it has changed."""
ALWAYS: Final = "2"
"""Value of ANNOUNCE: send subscribers the channel's count, even if it was stated before."""
TO_SUBSCRIBERS: Final = "3"
"""Value of ANNOUNCE: send subscribers the channel's count if it has changed, and nobody else: no webhook tells it."""

ENTER: Final = Script("""
local channel, user, blob, limit = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
-- What the removal of an expired node does not find would be there for ever.
if redis.call('HEXISTS', base .. 'share:' .. node, channel) == 0 then
  return redis.error_reply('EXPIRED this host was silent for so long that the others took it for dead')
end
if redis.call('HEXISTS', base .. 'where:' .. channel, user) == 0
    and redis.call('HLEN', base .. 'where:' .. channel) >= limit then
  return {false, '0', changes}
end
local renewed = 0
-- A user who comes back takes the place in which it lingers, see grace_scripts.py; the info may be new.
if not enter(node, channel, user, blob, ARGV[7]) and redis.call('SREM', base .. 'users:~:' .. channel, user) == 1 then
  redis.call('ZREM', base .. 'linger', channel .. '\\0' .. user)
  local nodes = redis.call('HINCRBY', base .. 'where:' .. channel, user, -1)
  if nodes == 1 and redis.call('HGET', base .. 'members:' .. channel, user) ~= blob then
    redis.call('HSET', base .. 'members:' .. channel, user, blob)
    announce(channel, '=', next_version(channel), blob)
    renewed = 1
  end
end
return {1, version_of(channel), changes, renewed}
""")
"""Add a user to a channel that the node has stated. Arguments: CHANNEL USER BLOB LIMIT SOCKET.

SOCKET: id of the connection, for webhooks; may be left out.

Answer: 1 (nil: the channel is full), version, changes, 1 if the info of a user that came back is new."""

LEAVE: Final = Script("""
leave(node, ARGV[3], ARGV[4], ARGV[5])
return {1, version_of(ARGV[3]), changes}
""")
"""Remove a user of the node from a channel. Arguments: CHANNEL USER SOCKET. Answer: 1, version, changes."""

COUNT: Final = Script("""
for i = 4, #ARGV, 2 do count(node, ARGV[i], ARGV[i + 1], ARGV[3]) end
return changes
""")
"""State the node's numbers of subscriptions. Arguments: ANNOUNCE (CHANNEL NUMBER)…. Answer: changes."""

_READ_CHANNEL: Final = """
local members = redis.call('HVALS', base .. 'members:' .. channel)
local last = base .. 'last:' .. channel
return {redis.call('GET', last), version_of(channel), changes, members, redis.call('PTTL', last)}
"""

SYNC: Final = Script(
    """
local tell, channel, number, former, most = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local stated = {}
for i = 8, #ARGV, 2 do stated[ARGV[i]] = true end
-- Stated for the node that this host was before: both together are one change.
local before = former ~= '' and redis.call('HGET', base .. 'share:' .. former, channel)
count(node, channel, number, before and '0' or tell)
for _, user in ipairs(redis.call('SMEMBERS', base .. 'users:' .. node .. ':' .. channel)) do
  if not stated[user] then leave(node, channel, user) end
end
for i = 8, #ARGV, 2 do enter(node, channel, ARGV[i], ARGV[i + 1]) end
if before then
  if redis.call('SCARD', base .. 'users:' .. former .. ':' .. channel) > most then return {most, changes} end
  count(former, channel, 0, before == number and '0' or tell)
end
"""
    + _READ_CHANNEL
)
"""State all that the node has of a channel, and read the channel.

Arguments: ANNOUNCE CHANNEL NUMBER FORMER MOST (USER BLOB)…. FORMER: the node that this host was before, whose users are
no members by that any more; or empty.

Answer: last event, version, changes, members, milliseconds that the last event is still kept. If FORMER has more than
MOST users, none of them is removed, and the answer is MOST and changes; :data:`LEAVE_SOME` and :data:`SYNC_REST` must
follow."""

SYNC_MEMBERS: Final = Script("""
local tell, channel, number = ARGV[3], ARGV[4], ARGV[5]
count(node, channel, number, tell)
for i = 6, #ARGV, 2 do enter(node, channel, ARGV[i], ARGV[i + 1]) end
return changes
""")
"""State some of the members that the node has of a channel. Arguments: ANNOUNCE CHANNEL NUMBER (USER BLOB)….

Answer: changes."""

SYNC_REST: Final = Script(
    """
local tell, channel, number, former = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
count(node, channel, number, tell)
if former ~= '' then count(former, channel, 0, tell) end
"""
    + _READ_CHANNEL
)
"""End the statement of a channel whose members were stated in parts, and read the channel.

The former node's users have gone before, by :data:`LEAVE_SOME`. Arguments: ANNOUNCE CHANNEL NUMBER FORMER. Answer: as
that of :data:`SYNC`."""

REMOVE_NODE: Final = Script("""
local channels = redis.call('HKEYS', base .. 'share:' .. node)
local left, taken = tonumber(ARGV[4]), 0
for _, channel in ipairs(channels) do
  if left <= 0 then break end
  left = left - leave_some(node, channel, left)
  if left > 0 then
    count(node, channel, 0, ARGV[3])
    left, taken = left - 1, taken + 1
  end
end
return {taken, #channels - taken, changes}
""")
"""Take out some of an expired node's subscriptions, at most MOST channels and users together. Arguments: ANNOUNCE MOST.

Answer: number of channels taken out, number of channels left, changes."""

LEAVE_SOME: Final = Script("""
return {leave_some(ARGV[3], ARGV[4], ARGV[5]), changes}
""")
"""Remove up to MOST users whom a former node has in a channel. Arguments: FORMER CHANNEL MOST.

Answer: number of users removed, changes."""

ALL: Final = (ENTER, LEAVE, COUNT, SYNC, SYNC_MEMBERS, SYNC_REST, REMOVE_NODE, LEAVE_SOME)
"""All scripts of this module."""
