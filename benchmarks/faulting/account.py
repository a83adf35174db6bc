"""One fault from beginning to end, and the account of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, cast

from faulting.kinds import Fault
from faulting.load import CHANNEL, ROOM, Listener, Load
from support.fleet import Fleet, running_fleet
from support.harness import RunningServer

LEAD_SECONDS = 1.0
"""Of load before the fault, and again once all is calm."""
CALM_SECONDS = 30.0
"""In which all must be calm again."""
QUIET_SECONDS = 1.0
"""After which nothing more is thought to come."""
EVERYWHERE = "ann"
"""A user with a client on every host; each host has another user of its own."""


class Row(NamedTuple):
    """``seconds`` is how long it was broken, ``calm`` how long until all was right after that, None if it never was.
    ``notes``: what a reader may ask next."""

    title: str
    seconds: float
    events: int
    expected: int
    received: int
    double: int
    wrong: int
    calm: float | None
    notes: list[str]

    @property
    def right(self) -> bool:
        """Whether nothing came twice, and everybody knows the truth."""
        return not self.double and not self.wrong and self.calm is not None


def measured(fault: Fault) -> Row:
    """Raises AssertionError if something does not start, does not become calm before, or ends without being told to."""
    with ExitStack() as stack:
        urls = fault.start(stack)
        fleet = stack.enter_context(running_fleet(urls))
        for host, server in enumerate(fleet.servers):
            fleet.clients += [Listener(server, host, user) for user in (EVERYWHERE, f"user {host}")]
        fleet.check()
        load = stack.enter_context(Load(fleet))
        _read_for(fleet, LEAD_SECONDS)

        began = time.monotonic()
        fault.begin(fleet)
        _read_for(fleet, began + fault.seconds - time.monotonic())
        fault.end(fleet)
        mended = time.monotonic()
        calm = _seconds_to_calm(fleet, mended)

        _read_for(fleet, LEAD_SECONDS)
        load.stop()
        _read_until_quiet(fleet)
        assert all(server.process.poll() is None for server in fleet.servers), "a host has ended"
        return _row(fault, fleet, load, began, mended, calm)


def _row(fault: Fault, fleet: Fleet, load: Load, began: float, mended: float, calm: float | None) -> Row:
    listeners = cast("list[Listener]", fleet.clients)
    received = double = 0
    lost: dict[tuple[int, int], list[float]] = {}
    for listener in listeners:
        heard = Counter(listener.heard())
        double += heard.total() - len(heard) + listener.notices_twice
        received += len(heard.keys() & load.published.keys())
        for name in load.published.keys() - heard.keys():
            event = load.published[name]
            lost.setdefault((event.host, listener.host), []).append(event.at - began)
    notes = [
        f"lost: {len(times)} from host {source} to clients of host {target}, published {min(times):.2f} to "
        f"{max(times):.2f} s after the fault began"
        for (source, target), times in sorted(lost.items())
    ]
    notes += [f"not published: {count} times {why}" for why, count in Counter(load.refused).items()]
    return Row(
        title=fault.title,
        seconds=mended - began,
        events=len(load.published),
        expected=len(load.published) * len(listeners),
        received=received,
        double=double,
        wrong=_wrong(fleet),
        calm=calm,
        notes=notes,
    )


def _read_for(fleet: Fleet, seconds: float) -> None:
    """Take in what comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _read(fleet)
        time.sleep(0.02)


def _read_until_quiet(fleet: Fleet) -> None:
    deadline = time.monotonic() + CALM_SECONDS
    before = -1
    while before != (before := sum(len(client.events) for client in fleet.clients)) and time.monotonic() < deadline:
        _read_for(fleet, QUIET_SECONDS)


def _read(fleet: Fleet) -> None:
    for client in fleet.clients:
        client.read_waiting()


def _seconds_to_calm(fleet: Fleet, since: float) -> float | None:
    """Until every host reaches the others, and everybody knows the truth."""
    while time.monotonic() < since + CALM_SECONDS:
        if all(server.publish("nobody", "e").body == b"{}" for server in fleet.servers) and not _wrong(fleet):
            return time.monotonic() - since
        _read_for(fleet, 0.02)
    return None


def _wrong(fleet: Fleet) -> int:
    """How many users a host or a client lists and should not, or should and does not, and how many counts of a host
    are not the truth."""
    _read(fleet)
    truth = fleet.truth()[ROOM]
    clients = len(fleet.clients)
    found = sum(_differing(_users(server), truth) for server in fleet.servers)
    found += sum(_differing(client.members[ROOM], truth) for client in fleet.clients)
    return found + sum(count != clients for server in fleet.servers for count in _counts(server))


def _differing(users: Collection[str], truth: set[str]) -> int:
    listed, expected = Counter(users), Counter(truth)
    return ((listed - expected) + (expected - listed)).total()


def _users(server: RunningServer) -> list[str]:
    return [str(user["id"]) for user in _answer(server, f"/channels/{ROOM}/users").get("users", ())]


def _counts(server: RunningServer) -> Iterator[int | None]:
    """Of connections, and of subscriptions to each channel: every client has both."""
    yield _answer(server, "/connections").get("connections")
    channels = _answer(server, "/channels", info="subscription_count").get("channels", {})
    for channel in (CHANNEL, ROOM):
        yield channels.get(channel, {}).get("subscription_count")


def _answer(server: RunningServer, path: str, **query: str) -> dict[str, Any]:
    """Empty if it is not 200."""
    answer = server.request("GET", path, b"", **query)
    return cast("dict[str, Any]", answer.json()) if answer.status == 200 else {}
