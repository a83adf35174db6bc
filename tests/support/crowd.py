"""Clients that are spread over the workers of a server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from soundpost.core.app_settings import AppSettings
from soundpost.wire.signatures import channel_text, sign, user_text
from support.harness import RawSocket, RunningServer, until

SUCCEEDED = "pusher_internal:subscription_succeeded"
Event = dict[str, Any]


class Crowd(NamedTuple):
    """Clients by the process id of the worker that serves them."""

    by_worker: dict[int, list[RawSocket]]

    @property
    def clients(self) -> list[RawSocket]:
        """All of them, neighbours on different workers."""
        return [client for row in zip(*self.by_worker.values(), strict=True) for client in row]


@contextmanager
def crowd(server: RunningServer, each: int = 2, app_id: str = "1") -> Iterator[Crowd]:
    """Connect until every worker has so many clients; those it has beyond that are closed."""
    pids = server.workers()
    found: dict[int, list[RawSocket]] = {pid: [] for pid in pids}

    with ExitStack() as stack:

        def complete() -> bool:
            client = stack.enter_context(server.connect(app_id))
            clients = found[_worker_of(client, server, pids)]
            if len(clients) < each:
                clients.append(client)
            else:
                client.socket.close()
            return all(len(clients) == each for clients in found.values())

        until(complete, "the kernel gives connections to every worker")
        yield Crowd(found)


def _worker_of(client: RawSocket, server: RunningServer, pids: set[int]) -> int:
    """The process that holds the other end of a client's connection."""
    port = client.socket.getsockname()[1]
    if not Path("/proc/net/tcp").exists():  # macOS
        command = ["lsof", "-nP", "-a", "-p", ",".join(map(str, pids)), f"-iTCP:{port}", "-Fp"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0][1:])
    ends = (f":{server.port:04X}", f":{port:04X}")
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *rest = line.split()
        if (local[-5:], remote[-5:]) == ends:
            file = f"socket:[{rest[6]}]"
            return next(pid for pid in pids if file in _open_files(pid))
    raise AssertionError("the connection is gone")


def _open_files(pid: int) -> set[str]:
    found: set[str] = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            found.add(str(link.readlink()))
    return found


def ask(client: RawSocket, app: AppSettings, channel: str, user: str | None = None, info: Any = None) -> None:
    """Send a signed subscription."""
    data: dict[str, str] = {"channel": channel}
    if user is not None:
        data["channel_data"] = json.dumps({"user_id": user, "user_info": info})
    signature = sign(app.secret, channel_text(client.socket_id, channel, data.get("channel_data")))
    client.send_event("pusher:subscribe", {**data, "auth": f"{app.key}:{signature}"})


def join(client: RawSocket, app: AppSettings, channel: str, user: str | None = None, info: Any = None) -> Event:
    """Subscribe, and read up to the answer."""
    ask(client, app, channel, user, info)
    return read_up_to(client, SUCCEEDED)[-1]


def sign_in(client: RawSocket, app: AppSettings, user: str) -> None:
    """Sign in as a user, and read the answer."""
    user_data = json.dumps({"id": user})
    signature = sign(app.secret, user_text(client.socket_id, user_data))
    client.send_event("pusher:signin", {"auth": f"{app.key}:{signature}", "user_data": user_data})
    assert client.read_event()["event"] == "pusher:signin_success"


def read_up_to(client: RawSocket, name: str) -> list[Event]:
    """What comes up to an event of this name, and that one."""
    events = [client.read_event()]
    while events[-1]["event"] != name:
        events.append(client.read_event())
    return events


def names(events: list[Event]) -> list[str]:
    """Their names, without the prefix of the protocol's own."""
    return [event["event"].removeprefix("pusher_internal:") for event in events]
