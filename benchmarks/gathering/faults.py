"""The faults, each from beginning to end, and what was lost, doubled or out of order."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, NamedTuple

from msgspec.structs import replace

from gathering.callers import Callers, GivenUp, Listener
from soundpost.core.app_settings import HistorySettings
from support.fleet import running_fleet
from support.harness import DEFAULT_APP, running_server
from support.nginx_process import nginx_process
from support.operated import operated
from support.redis_process import running_redis
from support.relay import running_relay

LEAD_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 1.0
"""Seconds after which nothing more is thought to come, if nothing is missing."""
PATIENCE: Final = 30.0
"""Seconds after which nothing more is thought to come, if something is missing: a client may be connecting."""
TIMES: Final = 5
"""Times that a fault happens."""
KILLS: Final = 2
"""Times that the only process is killed: each time its clients wait for longer before they connect again."""
STOPPED_SECONDS: Final = 2.0
DOWN_SECONDS: Final = 0.5
"""Seconds between the end of a server that is killed and its next start."""
APP: Final = replace(DEFAULT_APP, history=(HistorySettings(channels=("room",), events=100_000),))


class Row(NamedTuple):
    """``refused`` calls raised. Their events count as lost in no case, but may not come twice or too late.

    ``told``: accepted events that are missing where the client was told that some are.
    """

    title: str
    times: int
    accepted: int
    refused: int
    received: int
    lost: int
    told: int
    double: int
    late: int
    gaps: int
    reasons: Counter[str]
    is_wrong: bool = False


class Stage(NamedTuple):
    """The port that is published to, that of the listener, and the fault, which happens once when it is called.

    ``forgets``: whether the fault takes the server's memory, so that clients may be told of a gap.
    """

    port: int
    listens_at: int
    fault: Callable[[int], None]
    history: bool = True
    forgets: bool = False
    times: int = TIMES


def measured(title: str, start: Callable[[ExitStack], Stage]) -> Row:
    """Publish before, during and after a fault that happens several times."""
    with ExitStack() as stack:
        stage = start(stack)
        listener = Listener(stage.listens_at, history=stage.history)
        stack.callback(listener.close)
        given_up = stack.enter_context(GivenUp())
        callers = stack.enter_context(Callers(stage.port))
        time.sleep(LEAD_SECONDS)
        for number in range(stage.times):
            stage.fault(number)
            if stage.forgets:
                _wait_for_events(listener)
            time.sleep(LEAD_SECONDS)
        callers.stop()
        row = _row_in_the_end(title, callers, listener, given_up)
        is_wrong = bool(row.lost or row.double or row.late or (row.gaps and not stage.forgets))
        return row._replace(times=stage.times, is_wrong=is_wrong)


def _wait_for_events(listener: Listener) -> None:
    """Wait until callers and listener are back: both try again after some seconds if nothing listens."""
    before, until = listener.count, time.monotonic() + PATIENCE
    while listener.count == before and time.monotonic() < until:
        time.sleep(0.05)


def _row_in_the_end(title: str, callers: Callers, listener: Listener, given_up: GivenUp) -> Row:
    before, since = -1, time.monotonic()
    while True:
        row = _row(title, callers, listener, given_up)
        if listener.count != before:
            before, since = listener.count, time.monotonic()
        if time.monotonic() - since > (PATIENCE if row.lost else QUIET_SECONDS):
            return row
        time.sleep(0.2)


def _row(title: str, callers: Callers, listener: Listener, given_up: GivenUp) -> Row:
    lost = told = double = late = 0
    for caller, accepted in callers.accepted.items():
        heard = listener.heard[caller]
        given = {int(name.partition(".")[2]) for name in given_up.names if name.partition(".")[0] == caller}
        missing = set(accepted) - set(heard) - given
        missing_where_told = sum(listener.is_told(caller, number) for number in missing)
        told += missing_where_told
        lost += len(missing) - missing_where_told
        double += len(heard) - len(set(heard))
        late += sum(number < most for number, most in zip(heard[1:], _running_most(heard), strict=False))
    accepted_in_all = sum(map(len, callers.accepted.values()))
    return Row(
        title,
        0,
        accepted_in_all - len(given_up.names),
        len(callers.errors) + len(given_up.names),
        sum(map(len, listener.heard.values())),
        lost,
        told,
        double,
        late,
        len(listener.gaps),
        Counter(
            [*[error.partition(";")[0] for error in callers.errors], *[f"a gap: {reason}" for reason in listener.gaps]]
        ),
    )


def _running_most(numbers: list[int]) -> list[int]:
    most, found = 0, []
    for number in numbers:
        most = max(most, number)
        found.append(most)
    return found


def cut_network(stack: ExitStack) -> Stage:
    """All connections of publishers break, and new ones wait for half a second."""
    server = stack.enter_context(running_server(apps=[APP]))
    relay = stack.enter_context(running_relay(server.port))

    def fault(number: int) -> None:
        relay.cut()
        time.sleep(0.5)
        relay.mend()

    return Stage(relay.port, server.port, fault)


def slow_server(stack: ExitStack) -> Stage:
    """The server stands still."""
    server = stack.enter_context(running_server(apps=[APP]))

    def fault(number: int) -> None:
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        server.process.send_signal(signal.SIGCONT)

    return Stage(server.port, server.port, fault)


def restart(stack: ExitStack, workers: int) -> Stage:
    """``soundpost restart --wait``."""
    server = stack.enter_context(operated())
    server.configure(f'host = "127.0.0.1"\nworkers = {workers}\n', [APP])
    server.start()
    return Stage(server.port, server.port, lambda number: server.run("restart", "--wait").check_returncode())


def nginx_reload(stack: ExitStack) -> Stage:
    """Nginx in front of two workers reads its configuration again, three times in a row."""
    server = stack.enter_context(running_server(apps=[APP], workers=2))
    port, process = stack.enter_context(nginx_process([server.port]))

    def fault(number: int) -> None:
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.1)

    return Stage(port, server.port, fault)


def other_host(stack: ExitStack) -> Stage:
    """Connections break, and new ones go to the other of two hosts on one Redis."""
    redis = stack.enter_context(running_redis())
    fleet = stack.enter_context(running_fleet(redis.url, 2, apps=[APP]))
    relay = stack.enter_context(running_relay(fleet[0].port))

    def fault(number: int) -> None:
        relay.target = fleet[(number + 1) % 2].port
        relay.cut()
        relay.mend()

    return Stage(relay.port, fleet[1].port, fault)


def kill(stack: ExitStack) -> Stage:
    """Of six hosts on one Redis the one that is published to is killed, and the next one takes its place."""
    redis = stack.enter_context(running_redis())
    fleet = stack.enter_context(running_fleet(redis.url, TIMES + 1, apps=[APP]))
    relay = stack.enter_context(running_relay(fleet[0].port))

    def fault(number: int) -> None:
        relay.target = fleet[number + 1].port
        fleet[number].process.kill()

    return Stage(relay.port, fleet[TIMES].port, fault)


def kill_the_only(stack: ExitStack, *, history: bool) -> Stage:
    """The only process is killed, without Redis, and started again: all it had in memory is gone."""
    server = stack.enter_context(operated())
    server.configure('host = "127.0.0.1"\n', [APP if history else DEFAULT_APP])
    server.start()

    def fault(number: int) -> None:
        server.signal(signal.SIGKILL)
        server.process.popen.wait()
        time.sleep(DOWN_SECONDS)
        server.start()

    return Stage(server.port, server.port, fault, history, forgets=True, times=KILLS)


FAULTS: Final[dict[str, Callable[[ExitStack], Stage]]] = {
    "network cut for 0.5 s": cut_network,
    "server stopped for 2 s": slow_server,
    "soundpost restart": lambda stack: restart(stack, 1),
    "soundpost restart, two workers": lambda stack: restart(stack, 2),
    "the only process killed, history": lambda stack: kill_the_only(stack, history=True),
    "the same without history": lambda stack: kill_the_only(stack, history=False),
    "Nginx reloaded": nginx_reload,
    "other host, over Redis": other_host,
    "host killed, over Redis": kill,
}
