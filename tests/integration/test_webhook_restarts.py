"""Webhooks over the ends of real servers: restarts, stops, and kills with a journal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import msgspec
import pytest

from soundpost.core.app_settings import WebhookSettings
from soundpost.wire.frames import CLOSE
from support.harness import DEFAULT_APP, RawSocket, until
from support.hasty_webhooks import PROGRAM
from support.operated import CALM, Operated, operated
from support.webhook_receiver import Receiver
from support.webhook_visitors import endpoint, enter, stack

__all__ = ["endpoint", "stack"]


@pytest.fixture
def server(endpoint: Receiver) -> Iterator[Operated]:
    with operated() as made:
        app = msgspec.structs.replace(DEFAULT_APP, webhooks=(WebhookSettings(url=endpoint.url()),))
        made.configure(f'{CALM}state_dir = "state"\n', apps=[app])
        yield made


def is_sent_away(client: RawSocket) -> None:
    """Take the close with which a server sends a client away."""
    assert client.read_close_code() == 4200
    client.send_frame(CLOSE, (4200).to_bytes(2, "big"))
    client.socket.close()


def is_killed(server: Operated) -> None:
    server.process.stop(signal.SIGKILL)


def is_stopped(server: Operated) -> None:
    assert server.process.stop() == 0


@pytest.mark.parametrize("ends", [is_killed, is_stopped])
def test_who_does_not_come_back_after_the_end_of_a_server_is_told_gone(
    server: Operated, endpoint: Receiver, stack: ExitStack, ends: Callable[[Operated], None]
) -> None:
    server.start(program=PROGRAM)
    enter(server, stack, "ann")
    enter(server, stack, "bob").subscribe("empty-later")
    told = ["channel_occupied presence-room", "member_added presence-room", "member_added presence-room"]
    endpoint.wait_for(*told, "channel_occupied empty-later")
    ends(server)
    server.start(program=PROGRAM)
    enter(server, stack, "ann")
    endpoint.wait_for(
        *told, "channel_occupied empty-later", "channel_vacated empty-later", "member_removed presence-room"
    )
    assert [each["user_id"] for each in endpoint.taken() if each["name"] == "member_removed"] == ["bob"]
    assert len({each["id"] for each in endpoint.taken()}) == 6
    assert server.process.stop() == 0
    assert len(endpoint.taken()) == 6  # what was told is in the journal, and ann may come back
    assert server.process.faults() == []


def test_a_restart_hands_over_what_waits_and_tells_nobody_of_clients_that_come_back(
    server: Operated, endpoint: Receiver, stack: ExitStack
) -> None:
    server.start(program=PROGRAM)
    ann = enter(server, stack, "ann")
    guest = stack.enter_context(server.connect())
    endpoint.wait(lambda: len(endpoint.taken()) == 2, "the first events")
    endpoint.answers(500)
    guest.subscribe("a")
    endpoint.wait(lambda: endpoint.requests[-1].status == 500, "a failure")
    guest.subscribe("b")
    server.signal(signal.SIGHUP)
    for client in (ann, guest):
        is_sent_away(client)
    server.process.wait_for_start()
    endpoint.answers(200)
    enter(server, stack, "ann").subscribe("a")
    endpoint.wait_for(
        "channel_occupied presence-room",
        "member_added presence-room",
        "channel_occupied a",
        "channel_occupied b",
        "channel_vacated b",
    )
    order = endpoint.names()
    assert order.index("channel_occupied a") < order.index("channel_occupied b") < order.index("channel_vacated b")
    failed = next(request for request in endpoint.requests if request.status == 500)
    assert failed.events[0]["id"] == endpoint.taken()[order.index("channel_occupied a")]["id"]


def test_a_restart_of_workers_tells_nobody_of_clients_that_come_back(
    server: Operated, endpoint: Receiver, stack: ExitStack
) -> None:
    server.start("--workers", "2")
    clients = {f"user {number}": enter(server, stack, f"user {number}") for number in range(4)}
    endpoint.wait(lambda: len(endpoint.taken()) == 5, "the first events")
    server.signal(signal.SIGHUP)
    said = stack.enter_context(ThreadPoolExecutor()).submit(server.said, "all workers are new")

    def all_are_back() -> bool:
        is_over = said.done()
        for user, client in clients.items():  # who came back to a worker that is not new yet is sent away again
            if client.has_input() and client.read_frame()[0] == CLOSE:  # others are notices of members
                client.send_frame(CLOSE, (4200).to_bytes(2, "big"))
                client.socket.close()
                clients[user] = enter(server, stack, user)
        return is_over

    until(all_are_back, "all workers are new, and all clients are back", seconds=60)
    enter(server, stack, "the last")
    endpoint.wait(lambda: len(endpoint.taken()) == 6, "one more")
    assert endpoint.names() == ["channel_occupied presence-room", *["member_added presence-room"] * 5]


def test_a_state_dir_that_cannot_be_used_stops_the_start(server: Operated) -> None:
    (server.shell.directory / "state").write_text("")
    done = server.run("start")
    assert done.returncode == 1
    assert "[server] state_dir: state/webhooks-" in done.stderr
    assert "cannot be written: " in done.stderr
