"""``--wait``: how a restart and a stop are watched; the answers are played."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from soundpost.errors import RequestError
from soundpost.server.processes.control_messages import Command, ControlReply
from soundpost.server.processes.status import Status
from soundpost.tools.cli.waiting import MAX_WAIT, PAUSE, wait_for_restart, wait_for_stop

Played = ControlReply | OSError | None
UNDER_WAY = ControlReply(True, done=False)
DONE = ControlReply(True)


class Server:
    """A server that gives the played answers in turn, the last one again and again; its clock moves with each pause."""

    def __init__(self, *answers: Played) -> None:
        self._answers: Iterator[Played] = iter(answers)
        self._last: Played = None
        self.asked: list[Command] = []
        self.now = 0.0

    def ask(self, command: Command) -> ControlReply | None:
        self.asked.append(command)
        self._last = next(self._answers, self._last)
        if isinstance(self._last, OSError):
            raise self._last
        return self._last

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now

    def restarts(self) -> None:
        wait_for_restart(self.ask, clock=self.clock, sleep=self.sleep)


def test_a_restart_is_over_when_the_server_says_so() -> None:
    server = Server(UNDER_WAY, UNDER_WAY, DONE)
    server.restarts()
    assert server.asked == ["restart progress"] * 3


def test_a_process_that_executes_itself_again_is_away_for_a_while() -> None:
    server = Server(UNDER_WAY, ConnectionResetError(), None, None, TimeoutError(), DONE)
    server.restarts()
    assert len(server.asked) == 6


def test_a_failed_restart_has_its_reason() -> None:
    with pytest.raises(RequestError, match="worker 1 could not be replaced"):
        Server(UNDER_WAY, ControlReply(False, "not restarted: worker 1 could not be replaced")).restarts()


def test_a_server_that_does_not_come_back_has_failed() -> None:
    server = Server(UNDER_WAY, None)
    with pytest.raises(RequestError, match="has not come back within 15 s"):
        server.restarts()
    assert server.now == pytest.approx(MAX_WAIT, abs=3 * PAUSE)


def test_a_long_drain_is_no_silence() -> None:
    server = Server(*[UNDER_WAY] * 1_000, DONE)
    server.restarts()
    assert server.now > MAX_WAIT


def test_a_stop_is_over_when_nobody_listens() -> None:
    server = Server(DONE, TimeoutError(), ConnectionResetError(), None)
    wait_for_stop(server.ask, clock=server.clock, sleep=server.sleep)
    assert server.asked == ["status"] * 4


def test_a_server_that_is_started_again_has_not_stopped_for_good() -> None:
    first, second = (
        ControlReply(
            True,
            status=Status(
                version="1",
                pid=pid,
                started_at=0,
                host="127.0.0.1",
                port=1,
                unix_socket=None,
                draining=False,
                connections=0,
                apps=[],
                workers=[],
                redis=None,
            ),
        )
        for pid in (7, 8)
    )
    server = Server(first, first, TimeoutError(), second)
    with pytest.raises(RequestError, match="process 8 serves in its place"):
        wait_for_stop(server.ask, sleep=server.sleep)


def test_another_user_s_server_is_not_waited_for() -> None:
    server = Server(DONE, PermissionError())
    wait_for_stop(server.ask, sleep=server.sleep)
    assert server.asked == ["status"] * 2


def test_a_server_that_hangs_while_it_stops_is_not_waited_for() -> None:
    server = Server(DONE, TimeoutError())
    with pytest.raises(RequestError, match="has not answered for 15 s, but has not ended"):
        wait_for_stop(server.ask, clock=server.clock, sleep=server.sleep)
    assert server.now == pytest.approx(MAX_WAIT, abs=3 * PAUSE)


def test_a_long_drain_before_the_end_is_no_silence() -> None:
    server = Server(*[DONE] * 1_000, None)
    wait_for_stop(server.ask, clock=server.clock, sleep=server.sleep)
    assert server.now > MAX_WAIT
