"""Members of one presence channel who come back at once when they are sent away: arguments PORT COUNT SECONDS.

All connect first; then they subscribe, evenly over so many seconds. Says ``READY`` and a report when all are members.
At the end of the standard input it says a second report, of the time since. A report is a line of JSON: ``notices``,
how many ``member_added`` and ``member_removed`` were told to all members together; ``reads``, how often a member's
socket had something to read, behind its own subscription; ``bytes``, of these; ``members``, the smallest and the
largest number of members that somebody's list has; ``back``, how many subscriptions there were.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
from typing import Any

import uvloop

from returning.connection import Connection

CHANNEL = "presence-room"
_RETRY = 0.05  # seconds after a failure
_ADDED, _REMOVED = b'"event":"pusher_internal:member_added"', b'"event":"pusher_internal:member_removed"'


def subscription(socket_id: str, user: int) -> bytes:
    """A signed subscription."""
    member = json.dumps({"user_id": str(user), "user_info": {"name": f"Member {user}"}})
    text = f"{socket_id}:{CHANNEL}:{member}"
    auth = "app-key:" + hmac.new(b"app-secret", text.encode(), hashlib.sha256).hexdigest()
    return json.dumps(
        {"event": "pusher:subscribe", "data": {"channel": CHANNEL, "auth": auth, "channel_data": member}}
    ).encode()


class Member(Connection):
    """One connection of a member."""

    def __init__(self, crowd: Crowd, user: int, joins: bool) -> None:
        super().__init__()
        self._crowd = crowd
        self._user = user
        self._joins = joins
        self._is_member = False
        self._socket_id = ""

    def join(self) -> None:
        """Subscribe, once the hello has come."""
        self._joins = True
        if self._socket_id:
            self.send(subscription(self._socket_id, self._user))

    def data_received(self, data: bytes) -> None:
        if self._is_member:
            self._crowd.reads += 1
            self._crowd.bytes += len(data)
        super().data_received(data)

    def take(self, payload: bytes) -> None:
        """Take a message."""
        if _ADDED in payload[:60] or _REMOVED in payload[:60]:
            self._crowd.notices += 1
        elif b'"pusher:connection_established"' in payload[:60]:
            self._socket_id = json.loads(json.loads(payload)["data"])["socket_id"]
            self._crowd.greeted()
            if self._joins:
                self.join()
        elif b'"pusher_internal:subscription_succeeded"' in payload[:80]:
            self._is_member = True
            self._crowd.arrived(json.loads(json.loads(payload)["data"])["presence"]["count"])
        elif b'"pusher:error"' in payload[:40] or b"subscription_error" in payload[:60]:
            print(payload, file=sys.stderr, flush=True)

    def ended(self, code: int, refusal: str) -> None:
        """Come back."""
        self._crowd.left(self._user, was_member=self._is_member)


class Crowd:
    """All members."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._over = False
        self._hellos = self._present = 0
        self.connected = asyncio.Event()
        self.all_here = asyncio.Event()
        self.notices = self.reads = self.bytes = self.back = 0
        self.lists: list[int] = []

    def greeted(self) -> None:
        """A client got its hello."""
        self._hellos += 1
        if self._hellos >= self._count:
            self.connected.set()

    def arrived(self, members: int) -> None:
        """A client is a member; its list has so many."""
        self._present += 1
        self.back += 1
        self.lists.append(members)
        if self._present == self._count:
            self.all_here.set()

    def left(self, user: int, *, was_member: bool) -> None:
        """A client was sent away."""
        self._present -= was_member
        if not self._over:
            task = self._loop.create_task(self.connect(user, joins=True))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def connect(self, user: int, *, joins: bool) -> Member:
        """Connect a client, until there is a connection."""
        while True:
            try:
                _, member = await self._loop.create_connection(
                    lambda: Member(self, user, joins), "127.0.0.1", self._port
                )
            except OSError:
                await asyncio.sleep(_RETRY)
            else:
                return member

    def report(self) -> dict[str, Any]:
        """What became of them since the last report."""
        lists, self.lists = self.lists or [0], []
        found = {
            "notices": self.notices,
            "reads": self.reads,
            "bytes": self.bytes,
            "members": [min(lists), max(lists)],
            "back": self.back,
            "present": self._present,
        }
        self.notices = self.reads = self.bytes = self.back = 0
        return found

    def end(self) -> None:
        """Come back no more."""
        self._over = True


async def main() -> None:
    port, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    loop = asyncio.get_running_loop()
    crowd = Crowd(port, count)
    members = []
    for number in range(count):
        members.append(await crowd.connect(number, joins=False))
        if number % 50 == 0:
            await asyncio.sleep(0.02)
    await crowd.connected.wait()
    print("CONNECTED", flush=True)
    began = loop.time()
    for number, member in enumerate(members):
        wait = began + number * seconds / count - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        elif number % 10 == 0:
            await asyncio.sleep(0)
        member.join()
    await crowd.all_here.wait()
    took = loop.time() - began
    await asyncio.sleep(0.5)
    print("READY", flush=True)
    print(json.dumps(crowd.report() | {"seconds": took}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(crowd.report()), flush=True)
    crowd.end()


if __name__ == "__main__":
    uvloop.run(main())
