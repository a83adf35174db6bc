"""The form of Lua scripts, each one atomic step in Redis, and the keys they work on.

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


class Script:
    """A script, with the digest that runs it once Redis has loaded it."""

    def __init__(self, body: str, prelude: str = PRELUDE) -> None:
        self.text = prelude + body
        self.logs = prelude is PRELUDE
        """True if it makes changes that webhooks may tell; see :mod:`.webhook_prelude`."""
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
