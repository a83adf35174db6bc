"""Workers that die, or are told to stop; and their parent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from soundpost.wire.frames import CLOSE, parse_close
from support.crowd import Crowd, crowd, join, names, read_up_to
from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server, until, upgrade_request

ROOM = "presence-room"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(workers=3) as running:
        yield running
        assert "Traceback" not in running.log()


class Publisher:
    """A thread that publishes numbered events, one after the other, each over a connection of its own."""

    def __init__(self, server: RunningServer, channel: str) -> None:
        self._server = server
        self._channel = channel
        self._ended = False
        self._thread = threading.Thread(target=self._publish)
        self.answered: list[str] = []
        """Events that the server has taken; one whose request died with its worker may have been taken too, or not."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended = True
        self._thread.join()

    def answers(self, count: int) -> None:
        """Wait for so many more."""
        enough = len(self.answered) + count
        until(lambda: len(self.answered) >= enough, "events are taken")

    def _publish(self) -> None:
        number = 0
        while not self._ended:
            number += 1
            try:
                response = self._server.publish(self._channel, str(number))
            except (OSError, EOFError):
                continue
            assert response.status == 200
            self.answered.append(str(number))


def kill(pid: int) -> None:
    """``kill -9``."""
    os.kill(pid, signal.SIGKILL)


def victim_of(everybody: Crowd) -> tuple[int, list[RawSocket], list[RawSocket]]:
    """A worker to be killed, its clients, and those of the others."""
    pid, *others = everybody.by_worker
    return pid, everybody.by_worker[pid], [client for other in others for client in everybody.by_worker[other]]


def replace(server: RunningServer, pid: int) -> int:
    """Kill a worker; the one that is started in its place."""
    known = server.workers()
    kill(pid)
    until(lambda: len(server.workers() - known) == 1, "a worker is started")
    (successor,) = server.workers() - known
    return successor


# A worker is killed


def test_the_clients_of_other_workers_miss_nothing_when_one_is_killed_under_load(server: RunningServer) -> None:
    with crowd(server) as everybody:
        pid, lost, others = victim_of(everybody)
        for client in everybody.clients:
            client.subscribe("news")
        with Publisher(server, "news") as publisher:
            publisher.answers(50)
            kill(pid)
            publisher.answers(50)
            server.wait_for_log("serves now")
            publisher.answers(50)
        server.publish("news", "end")

        for client in others:
            heard = names(read_up_to(client, "end"))[:-1]
            assert sorted(set(heard), key=int) == heard
            assert set(publisher.answered) <= set(heard)
        for client in lost:
            frames = client.read_until_close()
            heard = [json.loads(payload)["event"] for _, payload in frames]
            assert heard == [str(number) for number in range(1, len(heard) + 1)]


def test_nobody_is_told_of_members_of_a_killed_worker_who_come_back_at_once(server: RunningServer) -> None:
    with crowd(server) as everybody:
        pid, lost, others = victim_of(everybody)
        for number, client in enumerate(lost):
            join(client, DEFAULT_APP, ROOM, f"lost {number}")
        both = lost[0], others[-1]
        for client in both:
            join(client, DEFAULT_APP, ROOM, "on two workers")
        watcher = others[0]
        members = json.loads(join(watcher, DEFAULT_APP, ROOM, "watcher")["data"])["presence"]["ids"]
        assert sorted(members) == ["lost 1", "on two workers", "watcher"]

        kill(pid)

        for client in lost:
            assert CLOSE not in [opcode for opcode, _ in client.read_until_close()]
        with server.connect() as again:
            answer = join(again, DEFAULT_APP, ROOM, "lost 1", {"back": True})
            presence = json.loads(answer["data"])["presence"]
            assert sorted(presence["ids"]) == sorted(members)
            assert presence["hash"]["lost 1"] == {"back": True}
            server.wait_for_log("serves now")
            server.publish(ROOM, "end")
            for client in (watcher, again):
                assert client.read_event()["event"] == "end"


def test_the_members_of_a_killed_worker_leave_in_the_end(server: RunningServer) -> None:
    with crowd(server) as everybody:
        pid, lost, others = victim_of(everybody)
        join(lost[0], DEFAULT_APP, ROOM, "lost")
        join(others[0], DEFAULT_APP, ROOM, "watcher")

        kill(pid)

        removed = others[0].read_event()
        assert removed["event"] == "pusher_internal:member_removed"
        assert json.loads(removed["data"]) == {"user_id": "lost"}


def test_the_log_says_what_happened(server: RunningServer) -> None:
    (pid, *_) = server.workers()
    kill(pid)
    server.wait_for_log("serves now")

    died, serves = server.log().splitlines()
    assert "[parent] soundpost.workers: worker " in died
    assert (
        f"(process {pid}) was killed by SIGKILL (by somebody, or by the kernel when memory ran out: see dmesg)" in died
    )
    assert died.endswith(": its clients are cut off and will reconnect; it is started again at once")
    assert re.search(r"worker \d \(process \d+\) serves now, \d+\.\d\d s after its start$", serves)
    assert f"(process {pid})" not in serves


def test_all_workers_are_killed_at_once_and_serve_again(server: RunningServer) -> None:
    for pid in server.workers():
        kill(pid)
    server.wait_for_log("serves now", times=3)

    with crowd(server) as everybody:
        for client in everybody.clients:
            client.subscribe("news")
        server.publish("news", "e")
        for client in everybody.clients:
            assert client.read_event()["event"] == "e"


def test_a_worker_that_is_told_to_stop_sends_its_clients_away_and_is_started_again(server: RunningServer) -> None:
    with crowd(server) as everybody:
        pid, lost, others = victim_of(everybody)
        os.kill(pid, signal.SIGTERM)

        for client in lost:
            opcode, payload = client.read_frame()
            assert (opcode, parse_close(payload)[0]) == (CLOSE, 4200)
        server.wait_for_log("serves now")
        for client in others:
            client.subscribe("news")


def test_users_are_cut_off_while_a_worker_starts(server: RunningServer) -> None:
    """A worker that is not ready yet must not stumble over what the others tell each other."""
    (pid, *_) = server.workers()
    replace(server, pid)

    def serves() -> bool:
        with contextlib.suppress(OSError, EOFError):  # what had come to the dead worker is cut off
            server.request("POST", "/users/nobody/terminate_connections")
        return "serves now" in server.log()

    until(serves, "it serves")

    assert len(server.wait_for_log("its clients are cut off")) == 1


def test_a_worker_that_dies_again_and_again_is_started_with_growing_waits(server: RunningServer) -> None:
    (victim, *_) = server.workers()
    victim = replace(server, victim)
    victim = replace(server, victim)
    kill(victim)

    deaths = server.wait_for_log("its clients are cut off", times=3)
    assert [line.rpartition("; it is started again ")[2] for line in deaths] == [
        "at once",
        "in 1 s, as this was death no. 2 in a row",
        "in 2 s, as this was death no. 3 in a row",
    ]
    with server.connect() as client:  # meanwhile the others serve
        client.subscribe("news")
    os.kill(server.pid, signal.SIGTERM)
    server.wait_for_the_end()
    assert server.process.returncode == 0


# The parent ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_sends_every_client_away(server: RunningServer, number: signal.Signals) -> None:
    with crowd(server) as everybody:
        os.kill(server.pid, number)

        for client in everybody.clients:
            opcode, payload = client.read_frame()
            assert (opcode, parse_close(payload)[0]) == (CLOSE, 4200)
            client.send_frame(CLOSE, payload)
        server.wait_for_the_end()
    assert server.process.returncode == 0
    assert [line for line in server.log().splitlines() if " INFO " not in line] == []


def test_who_comes_while_the_server_stops_is_sent_away_too() -> None:
    with (
        running_server(workers=3, shutdown_timeout=10) as server,
        crowd(server, each=1) as everybody,
        RawSocket(server.port) as late,
    ):
        late.send(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\n")
        assert late.read_response().status == 200
        os.kill(server.pid, signal.SIGTERM)
        for client in everybody.clients:  # as none of them answers, the server waits for a while
            assert parse_close(client.read_frame()[1])[0] == 4200

        late.send(upgrade_request())

        assert late.read_head().startswith(b"HTTP/1.1 101 ")
        assert late.read_event()["event"] == "pusher:connection_established"
        assert parse_close(late.read_frame()[1])[0] == 4200


def test_workers_end_when_their_parent_is_killed(server: RunningServer) -> None:
    with crowd(server) as everybody:
        kill(server.pid)

        for client in everybody.clients:
            opcode, payload = client.read_frame()
            assert (opcode, parse_close(payload)[0]) == (CLOSE, 4200)
        server.wait_for_the_end()
