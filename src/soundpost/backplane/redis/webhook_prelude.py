"""Lua that writes what webhooks tell into the log of a bucket, in the same step as the change itself.

The log is the stream ``…hooks``. It has what no endpoint was told yet, oldest first; see :mod:`.webhook_scripts`. An
entry has the event's name, channel and user, a value (member, number or body), the socket, whether it is final, and the
id of an event that a host has added. All entries have the same fields: so Redis keeps them small.
"""

from __future__ import annotations

from typing import Final

from soundpost.core.app_settings import AppSettings
from soundpost.core.presence_grace import ends_finally
from soundpost.core.webhooks import BEGINS, ENDS

MAX_LOGGED: Final = 20_000
"""Largest number of events in the log of one bucket; beyond it the oldest are dropped, and counted."""
FINAL_GRACES: Final = "final_graces"
"""Word among the names of wanted events: a member whose grace is over has been away for as long as ends are held."""

WRITE: Final = """
local nudged = false

local function write(hooks, name, channel, user, value, socket, final, id)
  redis.call('XADD', hooks, '*', 'n', name, 'c', channel, 'u', user, 'v', value, 's', socket, 'f', final, 'i', id)
  if not nudged then
    nudged = true
    announce('', 'W')
    if redis.call('XLEN', hooks) > MOST then
      local lost = redis.call('XTRIM', hooks, 'MAXLEN', MOST - MOST / 100)
      redis.call('INCRBY', hooks .. ':lost', lost)
    end
  end
end
""".replace("MOST", str(MAX_LOGGED))
"""Lua function that adds an event to a log, and once in a script tells the owner of the log."""

LOG: Final = f"""
-- Where an app has webhooks, KEYS[2] is the log of the bucket, and the wanted names are behind the command PUBLISH.
local hooks, wants, log = KEYS[2], nil, nil
if hooks then
  local wanted
  publish, wanted = string.match(publish, '^(%u+)( .*)$')
{WRITE}
  wants = function(name) return string.find(wanted, ' ' .. name .. ' ', 1, true) end
  log = function(name, channel, user, value, socket, final)
    if wants(name) then write(hooks, name, channel, user, value, socket or '', final and '1' or '', '') end
  end
end
"""
"""Lua function that adds an event to the log of a bucket if webhooks want it; nil if the app has no webhooks.

It follows ``ANNOUNCE_PRELUDE``."""


def logged_names(app: AppSettings) -> bytes:
    """Return what scripts are told of an app behind the command PUBLISH: names of events, each with a space around it.

    What begins and what ends a state are logged together. Empty if the app has no webhooks.
    """
    wanted = set(app.reports)
    wanted |= {BEGINS.get(name) or ENDS[name] for name in wanted if name in BEGINS or name in ENDS}
    if wanted and ends_finally(app.presence_grace):
        wanted.add(FINAL_GRACES)
    return f" {' '.join(sorted(wanted))} ".encode() if wanted else b""
