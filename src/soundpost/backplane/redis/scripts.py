"""Lua scripts, each one atomic step in Redis, and the keys they work on.

All keys of a bucket (a part of an app's channels) have one hash tag, so that they and the channels' topics are in one
place of a Redis Cluster. With ``{p:app:3}`` as the tag:

=====================  ======  ==============================================================================
key                    type    content
=====================  ======  ==============================================================================
``…total``             hash    channel → subscriptions, on all nodes
``…share:NODE``        hash    channel → subscriptions on one node
``…users:NODE:CHANNEL``  set   users present on one node
``…where:CHANNEL``     hash    user → on how many nodes
``…members:CHANNEL``   hash    user → id and info, as JSON
``…version``           hash    channel → number of changes to its members and last event
``…last:CHANNEL``      string  last event of a cache channel, with its version; expires
``…kept``              zset    channels in the order of their last events; expires with the newest
``…t:CHANNEL``         topic   where the channel's nodes hear of events and members
=====================  ======  ==============================================================================

A node states what it has (``share``, ``users``); totals, members and messages follow from the difference to its earlier
statement. So a statement may be repeated, and a node that was away states everything again.

The answer of a script that changes subscriptions has ``changes``: observer events, see :mod:`.observer_events`.
"""

from __future__ import annotations

import hashlib
from typing import Final

from soundpost.backplane.redis.webhook_prelude import LOG

ANNOUNCE_PRELUDE: Final = """
local base, node, publish = KEYS[1], ARGV[1], ARGV[2]

-- The form of topic_messages.py: the kind, the lengths of all fields, the fields.
local function announce(channel, kind, ...)
  local fields, lengths = {...}, {}
  for i, field in ipairs(fields) do lengths[i] = struct.pack('>I4', #field) end
  redis.call(publish, base .. 't:' .. channel, 'S2' .. kind .. table.concat(lengths) .. table.concat(fields))
end
"""
"""Beginning of a script that changes no subscriptions."""

PRELUDE: Final = (
    ANNOUNCE_PRELUDE
    + LOG
    + """
local changes = {}

local function version_of(channel)
  return redis.call('HGET', base .. 'version', channel) or '0'
end

local function next_version(channel)
  local version = redis.call('HINCRBY', base .. 'version', channel, 1)
  if version == 1 then
    -- Above all versions the channel had before it was forgotten.
    local time = redis.call('TIME')
    version = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('HSET', base .. 'version', channel, string.format('%.0f', version))
  end
  return string.format('%.0f', version)
end

local function enter(node, channel, user, blob, socket)
  if redis.call('SADD', base .. 'users:' .. node .. ':' .. channel, user) == 0 then return false end
  if redis.call('HINCRBY', base .. 'where:' .. channel, user, 1) > 1 then return false end
  redis.call('HSET', base .. 'members:' .. channel, user, blob)
  announce(channel, '+', next_version(channel), blob)
  changes[#changes + 1] = {'member_added', channel, user}
  if hooks then log('member_added', channel, user, blob, socket) end
  return true
end

local function leave(node, channel, user, socket, final)
  if redis.call('SREM', base .. 'users:' .. node .. ':' .. channel, user) == 0 then return false end
  if redis.call('HINCRBY', base .. 'where:' .. channel, user, -1) > 0 then return false end
  redis.call('HDEL', base .. 'where:' .. channel, user)
  local blob = hooks and redis.call('HGET', base .. 'members:' .. channel, user) or ''
  redis.call('HDEL', base .. 'members:' .. channel, user)
  announce(channel, '-', next_version(channel), user)
  changes[#changes + 1] = {'member_removed', channel, user}
  if hooks then log('member_removed', channel, user, blob, socket, final) end
  return true
end

local function leave_all(node, channel)
  for _, user in ipairs(redis.call('SMEMBERS', base .. 'users:' .. node .. ':' .. channel)) do
    leave(node, channel, user)
  end
end

local function leave_some(node, channel, most)
  local users = redis.call('SRANDMEMBER', base .. 'users:' .. node .. ':' .. channel, most)
  for _, user in ipairs(users) do leave(node, channel, user) end
  return #users
end

local function count(node, channel, number, tell)
  local share = base .. 'share:' .. node
  local before = tonumber(redis.call('HGET', share, channel) or '0')
  number = tonumber(number)
  if number == before and tell ~= '2' then return end
  if number == 0 then
    leave_all(node, channel)
    redis.call('HDEL', share, channel)
  else
    redis.call('HSET', share, channel, number)
  end
  local total = redis.call('HINCRBY', base .. 'total', channel, number - before)
  if total <= 0 then
    redis.call('HDEL', base .. 'total', channel)
    redis.call('HDEL', base .. 'version', channel)
    changes[#changes + 1] = {'channel_vacated', channel}
    if hooks then log('channel_vacated', channel, '', '') end
    return
  end
  if total == number - before then
    changes[#changes + 1] = {'channel_occupied', channel}
    if hooks then log('channel_occupied', channel, '', '') end
  end
  if tell ~= '0' and string.sub(channel, 1, 9) ~= 'presence-' then
    announce(channel, '#', tostring(total))
    if tell == '3' then return end
    changes[#changes + 1] = {'subscription_count', channel, total}
    if hooks then log('subscription_count', channel, '', total) end
  end
end
"""
)
"""Beginning of a script that changes subscriptions, members or last events."""


SILENTLY: Final = "0"
"""Value of ANNOUNCE in scripts that state counts: send subscribers no count."""
IF_CHANGED: Final = "1"
"""Value of ANNOUNCE: send subscribers the channel's count if it has changed."""
ALWAYS: Final = "2"
"""Value of ANNOUNCE: send subscribers the channel's count, even if it was stated before."""
TO_SUBSCRIBERS: Final = "3"
"""Value of ANNOUNCE: send subscribers the channel's count if it has changed, and nobody else: no webhook tells it."""


class Script:
    """A script, with the digest that runs it once Redis has loaded it."""

    def __init__(self, body: str, prelude: str = PRELUDE) -> None:
        self.text = prelude + body
        self.logs = prelude is PRELUDE
        """True if it makes changes that webhooks may tell; see :mod:`.webhook_prelude`."""
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


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
local tell, channel, number, former = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local stated = {}
for i = 7, #ARGV, 2 do stated[ARGV[i]] = true end
-- Stated for the node that this host was before: both together are one change.
local before = former ~= '' and redis.call('HGET', base .. 'share:' .. former, channel)
count(node, channel, number, before and '0' or tell)
for _, user in ipairs(redis.call('SMEMBERS', base .. 'users:' .. node .. ':' .. channel)) do
  if not stated[user] then leave(node, channel, user) end
end
for i = 7, #ARGV, 2 do enter(node, channel, ARGV[i], ARGV[i + 1]) end
if before then count(former, channel, 0, before == number and '0' or tell) end
"""
    + _READ_CHANNEL
)
"""State all that the node has of a channel, and read the channel.

Arguments: ANNOUNCE CHANNEL NUMBER FORMER (USER BLOB)…. FORMER: the node that this host was before, whose users are no
members by that any more; or empty.

Answer: last event, version, changes, members, milliseconds that the last event is still kept."""

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

_NOW: Final = """
local time = redis.call('TIME')
local milliseconds = time[1] * 1000 + math.floor(time[2] / 1000)
local now, later = string.format('%.0f', milliseconds), string.format('%.0f', milliseconds + tonumber(ARGV[3]))
"""

ADMIT: Final = Script("""
local limit, here, all = tonumber(ARGV[3]), tonumber(ARGV[4]), 0
redis.call('HSET', base .. 'connections', node, here)
for _, number in ipairs(redis.call('HVALS', base .. 'connections')) do all = all + tonumber(number) end
if all <= limit then return 1 end
redis.call('HSET', base .. 'connections', node, here - 1)
return 0
""")
"""Count one more connection of an app, unless all nodes together have reached the limit. Arguments: LIMIT HERE.

HERE is the node's number of connections with the new one. Answer: 1 if the connection is admitted, 0 if not."""

REGISTER: Final = Script(
    _NOW
    + """
redis.call('ZADD', base .. 'expired', later, node)
"""
)
"""Register a node that is about to state what it has; without a beat in time it is expired. Arguments: MILLISECONDS."""

BEAT: Final = Script(
    _NOW
    + """
local is_new = redis.call('ZADD', base .. 'nodes', later, node)
redis.call('ZREM', base .. 'expired', node)
-- A node whose lease has ended is expired at once, and whoever is told so removes it. If that one ends over it, the
-- next is told when this lease, too, has ended.
for _, each in ipairs(redis.call('ZRANGEBYSCORE', base .. 'nodes', '-inf', now)) do
  redis.call('ZREM', base .. 'nodes', each)
  redis.call('ZADD', base .. 'expired', 0, each)
end
local expired = redis.call('ZRANGEBYSCORE', base .. 'expired', '-inf', now)
for _, each in ipairs(expired) do redis.call('ZADD', base .. 'expired', later, each) end
return {is_new, now, expired, redis.call('ZRANGE', base .. 'nodes', 0, -1, 'WITHSCORES')}
"""
)
"""Renew the node's lease. Arguments: MILLISECONDS.

Answer: 1 if the node was unknown, the time, expired nodes to remove, living nodes with the ends of their leases."""

RESTART: Final = Script("""
redis.call('SET', base .. 'restart', ARGV[3], 'PX', ARGV[4])
announce('', 'R', ARGV[3])
return 1
""")
"""Order all hosts to restart. Arguments: ORDER MILLISECONDS.

Each host checks that Redis has the order: who may publish but not write cannot give one, and an old one is void."""

ALL: Final = (
    ENTER,
    LEAVE,
    COUNT,
    SYNC,
    SYNC_MEMBERS,
    SYNC_REST,
    KEEP,
    REMOVE_NODE,
    LEAVE_SOME,
    ADMIT,
    REGISTER,
    BEAT,
    RESTART,
)
"""All scripts of this module."""
