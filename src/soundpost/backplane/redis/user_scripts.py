"""Lua scripts about signed-in users: which host has connections of a user, and who is online on any host.

All keys of a user are in one bucket, which follows from the user's id. With ``{p:app:3}`` as the tag:

====================  ======  ==============================================================================
key                   type    content
====================  ======  ==============================================================================
``…signed:NODE``      set     users signed in on one node
``…online``           hash    user → on how many nodes
``…away``             zset    user → end of the grace, in milliseconds
``…t:\\1USER``         topic   where nodes that watch a user hear that it comes and goes
====================  ======  ==============================================================================

A node states which users it has, so a statement may be repeated. A user whose last connection was lost is stated by a
node that never dies, ``~``, until its grace is over.
"""

from __future__ import annotations

from typing import Final

from soundpost.backplane.redis.scripts import Script

_USERS: Final = """
local function come(node, user, info)
  if redis.call('SADD', base .. 'signed:' .. node, user) == 0 then return end
  if redis.call('HINCRBY', base .. 'online', user, 1) > 1 then return end
  announce('\\1' .. user, 'O', '1')
  if hooks then log('user_online', '', user, info) end
end

local function go(node, user, final)
  if redis.call('SREM', base .. 'signed:' .. node, user) == 0 then return end
  if redis.call('HINCRBY', base .. 'online', user, -1) > 0 then return end
  redis.call('HDEL', base .. 'online', user)
  announce('\\1' .. user, 'O', '0')
  if hooks then log('user_offline', '', user, '', '', final) end
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function stay(user, milliseconds)
  come('~', user, '')
  local till = now() + tonumber(milliseconds)
  if till > tonumber(redis.call('ZSCORE', base .. 'away', user) or '0') then
    redis.call('ZADD', base .. 'away', string.format('%.0f', till), user)
  end
end

local function back(user, final)
  redis.call('ZREM', base .. 'away', user)
  go('~', user, final)
end
"""

SIGN_IN: Final = Script(
    _USERS
    + """
come(node, ARGV[3], ARGV[4])
back(ARGV[3])
return 1
"""
)
"""State that a user has connections on the node. Arguments: USER INFO."""

SIGN_OUT: Final = Script(
    _USERS
    + """
local user, milliseconds = ARGV[3], tonumber(ARGV[4])
if redis.call('SISMEMBER', base .. 'signed:' .. node, user) == 1 then
  if milliseconds > 0 then stay(user, milliseconds) end
  if ARGV[5] == '1' then go(node, user) end
end
return 1
"""
)
"""State that a connection of a user is gone, who stays online for so long. Arguments: USER MILLISECONDS LAST.

LAST is 1 if it was the user's last connection on the node."""

STAY_ALL: Final = Script(
    _USERS
    + """
local users = redis.call('SMEMBERS', base .. 'signed:' .. node)
local last = math.min(tonumber(ARGV[5]), #users)
for i = tonumber(ARGV[4]) + 1, last do stay(users[i], ARGV[3]) end
return #users
"""
)
"""Let some of the node's users stay online for so long. Arguments: MILLISECONDS FROM TO, counted from 0.

Answer: number of all users of the node."""

END_ABSENCE: Final = Script(_USERS + "back(ARGV[3]) return 1")
"""End the grace of a user at once. Arguments: USER."""

SWEEP_USERS: Final = Script(
    _USERS
    + """
local key, time = base .. 'away', now()
local due = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', time), 'LIMIT', 0, ARGV[3])
for _, user in ipairs(due) do back(user, hooks and wants('final_graces')) end
local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
return {#due, first[2] and math.max(0, tonumber(first[2]) - time) or -1}
"""
)
"""End up to MOST graces that are over. Arguments: MOST.

Answer: number of graces ended, milliseconds until the next one is over (-1: none runs)."""

REMOVE_USERS: Final = Script(
    _USERS
    + """
local users = redis.call('SRANDMEMBER', base .. 'signed:' .. node, ARGV[3])
for _, user in ipairs(users) do go(node, user) end
return #users
"""
)
"""Take out up to MOST users of an expired node. Arguments: MOST. Answer: number of users taken out."""

ALL: Final = (SIGN_IN, SIGN_OUT, STAY_ALL, END_ABSENCE, SWEEP_USERS, REMOVE_USERS)
"""All scripts of this module."""
