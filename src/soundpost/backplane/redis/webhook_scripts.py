"""Lua scripts about webhooks: the log of each bucket, and the one host of an app that owns its logs.

======================  ======  =============================================================================
key                     type    content
======================  ======  =============================================================================
``…hooks``              stream  events that were not settled yet: a settled one is deleted
``…hooks:told``         set     states that were told: beginning, channel and user, with zero bytes between
``…hooks:owner``        string  the host that owns the log
``…hooks:lost``         string  number of events that were dropped, as the log was full
``{…APP}:hooks:lease``  string  the host that owns all logs of an app; expires
``{…APP}:hooks:last``   string  the host that owned them last
======================  ======  =============================================================================

Other scripts write changes into the log, see :mod:`.webhook_prelude`; a host adds what only a host knows. The owner
reads the logs and has each event sent. Whoever is the next owner finds in the log what was not settled, and in the set
what was told.
"""

from __future__ import annotations

from typing import Final

from soundpost.backplane.redis.scripts import ANNOUNCE_PRELUDE, Script
from soundpost.backplane.redis.webhook_prelude import WRITE

DAY: Final = 86_400_000
"""Milliseconds that the keys of a log are kept after its owner has looked at them last."""

ADD_EVENT: Final = Script(
    WRITE
    + """
local hooks, name, channel, user, id = base .. 'hooks', ARGV[3], ARGV[4], ARGV[5], ARGV[9]
local end_name = ARGV[10]
if end_name ~= '' then
  local is_there = name == 'member_added' and redis.call('HEXISTS', base .. 'where:' .. channel, user)
    or name == 'channel_occupied' and redis.call('HEXISTS', base .. 'total', channel)
    or name == 'user_online' and redis.call('HEXISTS', base .. 'online', user)
  if is_there == 1 then return 0 end
end
if ARGV[11] == '1' then
  for _, entry in ipairs(redis.call('XREVRANGE', hooks, '+', '-', 'COUNT', 200)) do
    if entry[2][14] == id then return 0 end
  end
end
write(hooks, name, channel, user, ARGV[6], ARGV[7], ARGV[8], id)
if end_name ~= '' then write(hooks, end_name, channel, user, ARGV[12], '', '', '') end
return 1
""",
    ANNOUNCE_PRELUDE,
)
"""Add an event to the log of a bucket. Arguments: NAME CHANNEL USER VALUE SOCKET FINAL ID END AGAIN END_VALUE.

END: name of the end of a state that has begun while Redis was away, else empty. Beginning and end are added together,
and only if no host has the channel, member or user now: else the statement of the host has told it. AGAIN: 1 if the
event may be there already. Answer: 1 if it was added, 0 if not."""

LEASE: Final = Script(
    """
local lease, last = base .. 'hooks:lease', base .. 'hooks:last'
local host = ARGV[3]
local owner, former = redis.call('GET', lease), redis.call('GET', last) or ''
if owner == host then
  redis.call('PEXPIRE', lease, ARGV[4])
  redis.call('PEXPIRE', last, DAY)
  return {'renewed', former}
end
if owner then return {'taken', former} end
if former == '' and ARGV[5] == '0' then return {'free', former} end
redis.call('SET', lease, host, 'PX', ARGV[4])
redis.call('SET', last, host, 'PX', DAY)
return {'begun', former}
""".replace("DAY", str(DAY)),
    ANNOUNCE_PRELUDE,
)
"""Renew the lease of an app's logs, or take it if no other host has it. Arguments: HOST MILLISECONDS FIRST.

FIRST: 0 to leave a lease to others that nobody is known to have had. Answer: renewed, begun, taken (by another host)
or free; and the owner before, empty if Redis knows of none."""

RELEASE: Final = Script(
    """
local lease = base .. 'hooks:lease'
if redis.call('GET', lease) == ARGV[3] then return redis.call('DEL', lease) end
return 0
""",
    ANNOUNCE_PRELUDE,
)
"""Give the lease of an app's logs back. Arguments: HOST."""

_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

TAKE_LOG: Final = Script(
    _NOW
    + """
local key = base .. 'hooks:owner'
local former = redis.call('GET', key) or ''
redis.call('SET', key, ARGV[3], 'PX', DAY)
return {former, redis.call('SMEMBERS', base .. 'hooks:told'), now}
""".replace("DAY", str(DAY)),
    ANNOUNCE_PRELUDE,
)
"""Own the log of a bucket. Arguments: HOST. Answer: owner before, empty if Redis knows of none; told states;
time of Redis in milliseconds."""

READ_LOG: Final = Script(
    _NOW
    + """
local hooks = base .. 'hooks'
if redis.call('GET', hooks .. ':owner') ~= ARGV[3] then return {0} end
if ARGV[6] == '1' then
  for _, key in ipairs({'', ':told', ':owner', ':lost'}) do redis.call('PEXPIRE', hooks .. key, DAY) end
end
local entries = redis.call('XRANGE', hooks, '(' .. ARGV[4], '+', 'COUNT', ARGV[5])
local more, size = #entries == tonumber(ARGV[5]) and 1 or 0, 0
for i, entry in ipairs(entries) do
  for _, text in ipairs(entry[2]) do size = size + #text end
  if i > 1 and size > tonumber(ARGV[7]) then
    more = 1
    for j = #entries, i, -1 do entries[j] = nil end
    break
  end
end
return {1, entries, redis.call('GET', hooks .. ':lost'), now, more}
""".replace("DAY", str(DAY)),
    ANNOUNCE_PRELUDE,
)
"""Read a log behind an entry. Arguments: HOST ENTRY MOST KEEP BYTES.

KEEP: 1 to keep all keys of the log for another day. Answer: 1 (0: HOST is not the owner), at most MOST entries that
have at most BYTES together, or one that is larger, number of events that were dropped, time of Redis in milliseconds, 1
if there may be more entries."""

SETTLE: Final = Script(
    """
local hooks = base .. 'hooks'
if redis.call('GET', hooks .. ':owner') ~= ARGV[3] then return 0 end
for i = 5, 4 + ARGV[4] do redis.call('XDEL', hooks, ARGV[i]) end
for i = 5 + ARGV[4], #ARGV, 2 do redis.call(ARGV[i], hooks .. ':told', ARGV[i + 1]) end
return 1
""",
    ANNOUNCE_PRELUDE,
)
"""Delete settled events, and note what was told. Arguments: HOST NUMBER ENTRY… (SADD|SREM STATE)….

Answer: 1; 0 if HOST is not the owner, and nothing was done."""

ALL: Final = (ADD_EVENT, LEASE, RELEASE, TAKE_LOG, READ_LOG, SETTLE)
"""All scripts of this module."""
