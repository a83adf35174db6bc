"""The blocking client against a real server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from soundpost.client import Event, Member, SyncClient, with_secret
from soundpost.errors import ConfigurationError, ConnectionRefused, ProtocolError, RequestError, SubscriptionError
from support.cli_process import Process
from support.harness import DEFAULT_APP, RunningServer
from support.raw_socket import TIMEOUT

KEY, SECRET = DEFAULT_APP.key, DEFAULT_APP.secret


def client_of(server: RunningServer, user_id: str = "") -> SyncClient:
    return SyncClient(f"http://127.0.0.1:{server.port}", KEY, auth=with_secret(KEY, SECRET, user_id=user_id))


def test_events_are_iterated_over(server: RunningServer) -> None:
    seen = []
    with client_of(server) as client:
        orders = client.subscribe("private-orders")
        for number in range(3):
            server.publish("private-orders", "shipped", str(number))
        for event in orders:
            seen.append(event.data)
            if event.data == 2:
                orders.unsubscribe()
        with pytest.raises(SubscriptionError, match="no more events"):
            orders.next()
    assert seen == [0, 1, 2]


def test_events_nobody_reads_by_themselves_are_the_clients(server: RunningServer) -> None:
    with client_of(server) as client:
        client.subscribe("orders")
        server.publish("orders", "shipped", "{}")
        assert next(iter(client)) == Event("shipped", "orders", "{}")


def test_waiting_has_its_limit(server: RunningServer) -> None:
    with client_of(server) as client:
        orders = client.subscribe("orders")
        with pytest.raises(TimeoutError):
            orders.next(timeout=0.01)
        server.publish("orders", "shipped")
        assert orders.next(timeout=TIMEOUT).name == "shipped"


def test_the_client_is_not_waited_for_in_its_own_thread(server: RunningServer) -> None:
    refused: list[RuntimeError] = []

    def ask_the_client(socket_id: str, channel: str) -> None:
        for use in (client.close, lambda: client.unsubscribe("orders")):
            with pytest.raises(RuntimeError, match="called in the client's own thread") as caught:
                use()
            refused.append(caught.value)

    with client_of(server) as client:
        client.subscribe("news", auth=ask_the_client)
        assert len(refused) == 2
        server.publish("news", "still", "{}")
        assert client.subscribe("news").next(timeout=TIMEOUT).name == "still"


def test_presence_and_client_events(server: RunningServer) -> None:
    with client_of(server, "1") as ann, client_of(server, "2") as bob:
        room = ann.subscribe("presence-chat")
        others_room = bob.subscribe("presence-chat")
        assert room.next(timeout=TIMEOUT).name == "pusher:member_added"
        assert room.members == others_room.members == {"1": None, "2": None}
        assert (room.me, others_room.me) == (Member("1", None), Member("2", None))
        others_room.trigger("typing", {"on": True})
        event = room.next(timeout=TIMEOUT)
        assert (event.name, event.data, event.user_id) == ("client-typing", {"on": True}, "2")
        with pytest.raises(ProtocolError):
            ann.subscribe("orders").trigger("typing")


def test_signed_in(server: RunningServer) -> None:
    with client_of(server, "ann") as client:
        assert client.user is None
        user = client.sign_in()
        server.publish("#server-to-user-ann", "hello")
        assert (user.id, user.next(timeout=TIMEOUT).name) == ("ann", "hello")
        server.publish("#server-to-user-ann", "again")
        assert client.user is not None
        assert next(iter(client.user)).name == "again"


def test_errors_are_raised_where_they_belong(server: RunningServer, unused_tcp_port: int) -> None:
    with client_of(server) as client:
        with pytest.raises(SubscriptionError):
            client.subscribe("private-a", auth=with_secret(KEY, "wrong"))
        assert client.subscribe("private-a").is_subscribed
    with (
        pytest.raises(ConnectionRefused, match="4001"),
        SyncClient(f"http://127.0.0.1:{server.port}", "nobodys-key"),
    ):
        pass
    with pytest.raises(RequestError, match="nothing listens"), SyncClient(f"http://127.0.0.1:{unused_tcp_port}", KEY):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "soundpost-client"]


def test_leaving_ends_an_iteration_in_another_thread(server: RunningServer) -> None:
    ended = threading.Event()
    with client_of(server) as client:
        orders = client.subscribe("orders")

        def read() -> None:
            for _ in orders:
                pass
            ended.set()

        threading.Thread(target=read, daemon=True).start()
    assert ended.wait(10)


def test_ctrl_c_ends_it_cleanly(server: RunningServer) -> None:
    program = f"""
from soundpost.client import SyncClient
try:
    with SyncClient("http://127.0.0.1:{server.port}", "{KEY}") as client:
        orders = client.subscribe("orders")
        print("ready", flush=True)
        for event in orders:
            print(event.name, flush=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as popen:
        process = Process(popen)
        process.wait_for("ready")
        server.publish("orders", "shipped")
        process.wait_for("shipped")
        assert process.stop(signal.SIGINT) == 0
        process.wait_for("stopped")
        assert process.rest_of_err() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is shared where nothing is forked")
def test_a_client_without_a_with_block(server: RunningServer) -> None:
    client = SyncClient(f"http://127.0.0.1:{server.port}", DEFAULT_APP.key)
    client.connect()
    try:
        orders = client.subscribe("orders")
        server.publish("orders", "shipped")
        assert orders.next(timeout=TIMEOUT).name == "shipped"
    finally:
        client.close()
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed: make another one"):
        client.subscribe("orders")
    assert list(orders) == list(client) == []


def test_connecting_is_done_once_and_before_the_rest(server: RunningServer) -> None:
    client = client_of(server)
    client.close()  # there is nothing to close yet
    for use in (
        lambda: client.subscribe("orders"),
        client.sign_in,
        lambda: next(iter(client)),
        lambda: client.socket_id,
    ):
        with pytest.raises(RuntimeError, match="not connected: use it in a"):
            use()
    with client:
        with pytest.raises(RuntimeError, match="the client is connected already"):
            client.connect()
        assert client.subscribe("orders").is_subscribed
    with pytest.raises(RuntimeError, match="the client is closed: make another one"):
        client.connect()


def test_who_failed_to_connect_may_try_again(unused_tcp_port: int) -> None:
    client = SyncClient(f"http://127.0.0.1:{unused_tcp_port}", KEY)
    for _ in range(2):
        with pytest.raises(RequestError, match="nothing listens"):
            client.connect()
    client.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:8080", "has no scheme: write 'http://127.0.0.1:8080', or the same with https://"),
        ("ws.example.com", "has no scheme: write 'http://ws.example.com'"),
        ("ftp://ws.example.com", "begins with 'ftp': http, https, ws or wss is expected"),
        ("", "the server's address is empty"),
    ],
)
def test_an_address_of_another_form_is_told_with_the_right_one(address: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)), SyncClient(address, "key"):
        pass


def test_a_forked_process_is_told_that_the_client_is_not_its_own(server: RunningServer) -> None:
    """It may leave the block; the client's own process goes on with it."""
    code = f"""
import os
from soundpost.client import SyncClient
child = 0
with SyncClient("http://127.0.0.1:{server.port}", {KEY!r}) as client:
    orders = client.subscribe("orders")
    child = os.fork()
    if child == 0:
        for use in (lambda: client.subscribe("news"), lambda: orders.next(timeout=1), lambda: next(iter(client))):
            try:
                use()
            except RuntimeError as error:
                assert f"belongs to process {{os.getppid()}}, this one ({{os.getpid()}}) was forked" in str(error)
            else:
                raise AssertionError
    else:
        assert os.waitpid(child, 0)[1] == 0
        client.subscribe("news")
        print("still subscribed:", orders.is_subscribed)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "still subscribed: True\n"), done.stderr
