"""Lua scripts about the histories of channels: a stream for each, beside the channel's topic.

====================  ======  ================================================================================
key                   type    content
====================  ======  ================================================================================
``…gen``              string  generation of the bucket's histories
``…source``           string  server and rules that the generation stands for
``…begin``            string  offset at which the generation began
``…top``              string  the last offset given to an event of the bucket
``…l:CHANNEL``        string  the last offset given to an event of the channel, and the milliseconds that it is kept;
                              kept itself for a day at least
``…s:CHANNEL``        stream  kept events: predecessor's offset, id, excluded socket, frame without position
``…d:CHANNEL``        string  offset up to which the history was deleted
``…u:CHANNEL``        set     ids of events that a host gave to its clients without a position
``…k:CHANNEL``        string  id of the key that encrypted the events, if publishers name it
``…i:ID``             string  offset of an event that its publisher may repeat; kept for a minute
``…x:NODE CHANNEL``   hash    offsets, by id, of the last events kept before a node that came back sent any again;
                              kept for a minute
====================  ======  ================================================================================

An offset is the time in microseconds, or one more than the bucket's last offset where that is larger. Each event names
its predecessor, so a host or a script knows by the first event after a place whether one before it is missing.
"""

from __future__ import annotations

from typing import Final

from soundpost.backplane.redis.last_event_scripts import NOTE_KEPT
from soundpost.backplane.redis.scripts import ANNOUNCE_PRELUDE, Script

DAY: Final = 86_400_000_000
"""Microseconds that the last offset of a channel is kept at least."""

_WHOLE: Final = """
local function whole(number) return string.format('%.0f', number) end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
"""

_TAKE: Final = (
    _WHOLE
    + """
local source, adopts = ARGV[3], ARGV[4] == '1'
local known = redis.call('MGET', base .. 'gen', base .. 'source', base .. 'top', base .. 'begin')
local generation, top, began = known[1], known[3], known[4]
local function life(of)
  local first = string.sub(of or '', 1, 1)
  return first == 'x' and first or string.sub(of or '', 1, 40)
end
local known_life, own_life = life(known[2]), life(source)
adopts = adopts and (known_life == own_life or known_life == 'x' or own_life == 'x')
if not generation or not top or (known[2] ~= source and not adopts) then
  -- The time makes it new on a server that was emptied, too.
  local left, digits = math.floor(now() / 1000), ''
  while left > 0 do
    local digit = left % 36
    digits = string.sub('0123456789abcdefghijklmnopqrstuvwxyz', digit + 1, digit + 1) .. digits
    left = math.floor(left / 36)
  end
  generation = string.sub(source, 1, 8) .. string.sub(digits, -8)
  top = whole(math.max(tonumber(top or '0') + 1, now()))
  redis.call('MSET', base .. 'gen', generation, base .. 'source', source, base .. 'begin', top, base .. 'top', top)
  began = false
end
return {generation, top, began}
"""
)
TAKE: Final = Script(_TAKE, ANNOUNCE_PRELUDE)
"""Take the generation of a bucket's histories; begin another one if source is another. Arguments: SOURCE ADOPTS.

SOURCE names the life of the server (40 characters; the first is x if it is not known) and the rules of the app.
ADOPTS: 1 to take what is there whatever its rules, unless it is of another life.
Answer: generation, last offset, and the offset at which the generation began; nil if it begins now."""

_ADD: Final = """
local call = redis.call
local generation, channel, id, excluded, frame = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local flags, most, milliseconds, key_id = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local stream, last_key = base .. 's:' .. channel, base .. 'l:' .. channel
local known = call('MGET', base .. 'gen', base .. 'top', last_key)
if not known[1] or (generation ~= '' and generation ~= known[1]) then
  return redis.error_reply('STALE the histories in Redis have begun anew')
end
generation = known[1]
local known_last, known_milliseconds = known[3], ''
local space = known_last and string.find(known_last, ' ', 1, true)  -- cheaper than a pattern
if space then
  known_last, known_milliseconds = string.sub(known_last, 1, space - 1), string.sub(known_last, space + 1)
end
local function has(flag) return flags ~= '' and string.find(flags, flag, 1, true) end
local found = has('r') and call('GET', base .. 'i:' .. id)
if not found and has('s') then
  for _, entry in ipairs(call('XREVRANGE', stream, '+', '-', 'COUNT', 50)) do
    if entry[2][4] == id then
      found = string.sub(entry[1], 1, -3)
      break
    end
  end
  if not found and has('g') then  -- many may have been under way when the node's former connection ended
    local sent = base .. 'x:' .. node .. ' ' .. channel
    if call('EXISTS', sent) == 0 then
      local offsets = {}
      for i, entry in ipairs(call('XREVRANGE', stream, '+', '-', 'COUNT', 500)) do
        offsets[2 * i - 1], offsets[2 * i] = entry[2][4] or '', string.sub(entry[1], 1, -3)
      end
      if #offsets > 0 then
        call('HSET', sent, unpack(offsets))
        call('PEXPIRE', sent, 60000)
      end
    end
    found = call('HGET', sent, id)
  end
end
if found then
  if has('g') then
    call('SADD', base .. 'u:' .. channel, id)
    call('PEXPIRE', base .. 'u:' .. channel, milliseconds)
    announce(channel, 'U', generation, found, id)
  end
  return {found, 1}
end
local clock, last = call('TIME'), tonumber(known_last)
local time = clock[1] * 1000000 + clock[2]
local offset = math.max(time, tonumber(known[2] or '0') + 1, (last or 0) + 1)
local place = string.format('%.0f', offset)
if has('r') then call('SET', base .. 'i:' .. id, place, 'PX', 60000) end
-- Keys expire an eighth of their time late, so their ends are moved once in that time only, and when the settings have
-- another time. Of what is too old by then nobody is given anything.
local function lifetime() return math.ceil(math.max(milliseconds, DAY / 1000) * 1.125) end
if key_id ~= '' then  -- nobody can decrypt events that another key encrypted
  local known_id = call('SET', base .. 'k:' .. channel, key_id, 'PX', lifetime(), 'GET')
  if known_id and known_id ~= key_id and (call('DEL', stream) == 1 or last or has('e')) then
    known_last = known_last or known[2] or '0'
    call('SET', base .. 'd:' .. channel, known_last, 'PX', lifetime())
    announce(channel, 'D', generation, known_last)
  end
end
-- Without a last offset the channel had no event for a day, or Redis has forgotten it.
local before = known_last or string.format('%.0f', math.max(0, offset - DAY))
if not known_last and has('e') then before = known[2] or string.format('%.0f', offset - 1) end
local step, entry = milliseconds * 125, place .. '-0'
local moves = not last or last >= time or offset % step < offset - last or known_milliseconds ~= milliseconds
call('SET', base .. 'top', place)
if moves then
  call('SET', last_key, place .. ' ' .. milliseconds, 'PX', lifetime())
else
  call('SET', last_key, place .. ' ' .. milliseconds, 'KEEPTTL')
end
local added = call(
  'XADD', stream, 'NOMKSTREAM', 'MAXLEN', '~', most, entry, 'p', before, 'i', id, 'x', excluded, 'f', frame)
if not added then
  call('XADD', stream, entry, 'p', before, 'i', id, 'x', excluded, 'f', frame)
  moves = true
end
if moves then call('PEXPIRE', stream, math.ceil(milliseconds * 1.125)) end
""".replace("DAY", str(DAY))


def _publishing(version: str) -> str:
    """Return what publishes the event, with the version that an expression of Lua has; its form: topic_messages.py."""
    return f"""
call(publish, base .. 't:' .. channel, 'S2H' .. {version} .. ' ' .. generation .. ' ' .. place .. ' ' .. before
  .. ' ' .. id .. ' ' .. excluded .. ' ' .. frame)
return {{place, 0}}
"""


ADD: Final = Script(_ADD + _publishing("'0'"), ANNOUNCE_PRELUDE)
"""Keep an event and publish it. Arguments: GENERATION CHANNEL ID EXCLUDED FRAME FLAGS MOST MILLISECONDS KEY_ID.

FLAGS: letters; s: the event was sent before and not answered, r: its publisher may repeat it to any host, g: clients
may have it without a position, e: Redis forgets keys when its memory is full. KEY_ID: id of the key that encrypted the
event, empty if not known; with another one than before the history is deleted first. An error that begins with STALE:
the generation is another by now.

Answer: offset, 1 if Redis had the event already."""

ADD_LAST: Final = Script(
    NOTE_KEPT
    + _ADD
    + """
local version = next_version(channel)
redis.call('SET', base .. 'last:' .. channel, version .. '@' .. place .. ' ' .. frame, 'PX', ARGV[12])
note_kept(channel, ARGV[12], tonumber(ARGV[13]))
if redis.call('HEXISTS', base .. 'total', channel) == 0 then redis.call('HDEL', base .. 'version', channel) end
"""
    + _publishing("version")
)
"""Keep and publish the event of a cache channel, as its last event too. Arguments: as :data:`ADD`, MILLISECONDS MOST.

The last two are those of :data:`.last_event_scripts.KEEP`."""

_SINCE: Final = (
    _WHOLE
    + """
local generation, channel, after, rewind = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local most, size, age, newest, evicts = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]
local reads_past_gap = ARGV[12] == '1'
local stream = base .. 's:' .. channel
local known = redis.call('MGET', base .. 'gen', base .. 'top', base .. 'l:' .. channel)
local top, last = known[2] or '0', tonumber(string.match(known[3] or '', '^%d+'))
local events, marked = {}, {}
local function answer(gap, more)
  if #events > 0 then marked = redis.call('SMEMBERS', base .. 'u:' .. channel) end
  return {gap, known[1] or '', top, more, marked, events}
end
local function take(entry)
  local fields = entry[2]
  events[#events + 1] = string.sub(entry[1], 1, -3)
  events[#events + 1] = fields[4]
  events[#events + 1] = fields[6]
  events[#events + 1] = fields[8]
  size = size - #fields[8]
end
local function offset_of(entry) return tonumber(string.sub(entry[1], 1, -3)) end

local oldest = now() - age
local function gap_after(start)
  if generation ~= known[1] then return 'generation' end
  if start > tonumber(top) then return 'unknown' end
  local first = redis.call('XRANGE', stream, '(' .. after, '+', 'COUNT', 1)[1]
  local missing = false  -- the newest event after the place that is not kept
  if first and tonumber(first[2][2]) > start then missing = tonumber(first[2][2])
  elseif first and offset_of(first) <= oldest then missing = offset_of(first)
  elseif not first and last and last > start then missing = last
  elseif not last and evicts == '1' and start < tonumber(top) then return 'unknown'
  elseif not last and start < now() - DAY then return 'age' end
  if not missing then return false end
  if start < tonumber(redis.call('GET', base .. 'd:' .. channel) or '0') then return 'deleted' end
  if missing <= oldest then return 'age' end
  return first and 'number' or 'unknown'
end
local function read()
  if rewind > 0 then
    local found = redis.call('XREVRANGE', stream, '+', '(' .. whole(oldest), 'COUNT', rewind)
    if #found > 0 then take(found[#found]) end
    return answer(false, #found)
  end
  local start, gap = tonumber(after) or 0, false
  if after ~= '' then gap = gap_after(start) end
  if gap and not reads_past_gap then return answer(gap, 0) end
  if gap == 'generation' then start = math.min(start, tonumber(redis.call('GET', base .. 'begin') or top)) end
  start = math.max(start, oldest)
  if most == 0 then return answer(gap, 0) end
  if newest == '1' then
    local found = redis.call('XREVRANGE', stream, '+', '(' .. whole(start), 'COUNT', most + 1)
    for i = 1, math.min(most, #found) do
      if size > 0 then take(found[i]) end
    end
    return answer(gap, #found * 4 > #events and 1 or 0)
  end
  while true do
    local found = redis.call('XRANGE', stream, '(' .. whole(start), '+', 'COUNT', 32)
    for _, entry in ipairs(found) do
      if #events >= most * 4 or size <= 0 then return answer(gap, 1) end
      take(entry)
      start = offset_of(entry)
    end
    if #found < 32 then return answer(gap, 0) end
  end
end
-- Whoever may write in this Redis may have put anything there: that must not end the connection.
local is_readable, found = pcall(read)
if is_readable then return found end
return {'unknown', known[1] or '', top, 0, {}, {}, type(found) == 'table' and found.err or tostring(found)}
"""
).replace("DAY", str(DAY))
SINCE: Final = Script(_SINCE, ANNOUNCE_PRELUDE)
"""Read kept events after a place.

Arguments: GENERATION CHANNEL AFTER REWIND MOST SIZE AGE NEWEST EVICTS PAST_GAP.

AFTER: an offset, or empty for all that is kept. REWIND: 0, or a number of last events: the answer has the first of
them, and how many there are in place of 1. MOST and SIZE bound the number and the bytes of events, AGE is in
microseconds. NEWEST: 1 for the newest first. EVICTS: 1 if Redis forgets keys when its memory is full. PAST_GAP: 1 to
read on behind a gap; an offset of another generation is then taken for one that is not known to be later than this
generation's beginning. Without, a gap is answered without events.

Answer: reason of a gap (nil: none), generation, the bucket's last offset, 1 if more events follow, ids of events that
were given without a position, and for each event its offset, id, excluded socket and frame; then the reason why the
history cannot be read, if it cannot."""

DELETE: Final = Script(
    """
local channel, last_key = ARGV[3], base .. 'l:' .. ARGV[3]
local known = redis.call('MGET', last_key, base .. 'gen', base .. 'top')
local last, generation = string.match(known[1] or '', '^%d+'), known[2]
if redis.call('DEL', base .. 's:' .. channel) == 1 and not last then  -- Redis has forgotten the last offset
  last = known[3] or '0'
  redis.call('SET', last_key, last, 'PX', DAY / 1000 * 1.125)
end
if last then redis.call('SET', base .. 'd:' .. channel, last, 'PX', math.max(1, redis.call('PTTL', last_key))) end
if generation then announce(channel, 'D', generation, last or known[3] or '0') end
redis.call('DEL', base .. 'last:' .. channel)
announce(channel, '~')
return 1
""".replace("DAY", str(DAY)),
    ANNOUNCE_PRELUDE,
)
"""Delete the history of a channel, and the last event of a cache channel. Arguments: CHANNEL. Answer: 1."""

_SKIP: Final = (
    _WHOLE
    + """
local channel = ARGV[3]
local known = redis.call('MGET', base .. 'gen', base .. 'top', base .. 'l:' .. channel)
local place = whole(math.max(now(), tonumber(known[2] or '0') + 1))
redis.call('DEL', base .. 's:' .. channel)
redis.call('SET', base .. 'top', place)
redis.call('SET', base .. 'l:' .. channel, place, 'PX', DAY / 1000 * 1.125)
if known[1] then announce(channel, 'K', known[1], place, string.match(known[3] or '0', '^%d+')) end
return 1
"""
).replace("DAY", str(DAY))
SKIP: Final = Script(_SKIP, ANNOUNCE_PRELUDE)
"""Note that an event of a channel was not kept: places before it are a gap. Arguments: CHANNEL. Answer: 1."""

ALL: Final = (TAKE, ADD, ADD_LAST, SINCE, DELETE, SKIP)
"""All scripts of this module."""
