"""Lua scripts of a node as a whole: its lease, its number of connections, the order to restart."""

from __future__ import annotations

from typing import Final

from soundpost.backplane.redis.scripts import Script

_NOW: Final = """
local time = redis.call('TIME')
local milliseconds = time[1] * 1000 + math.floor(time[2] / 1000)
local now, later = string.format('%.0f', milliseconds), string.format('%.0f', milliseconds + tonumber(ARGV[3]))
"""

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

RESTART: Final = Script("""
redis.call('SET', base .. 'restart', ARGV[3], 'PX', ARGV[4])
announce('', 'R', ARGV[3])
return 1
""")
"""Order all hosts to restart. Arguments: ORDER MILLISECONDS.

Each host checks that Redis has the order: who may publish but not write cannot give one, and an old one is void."""

ALL: Final = (REGISTER, BEAT, ADMIT, RESTART)
"""All scripts of this module."""
