"""Every subscriber gets every byte, in order, however slowly it reads and whoever comes and goes beside it."""

from __future__ import annotations

import json
import random
import select

import msgspec

from support.harness import DEFAULT_APP, RawSocket, RunningServer, running_server, signed_request

ROOMY = msgspec.structs.replace(DEFAULT_APP, max_output_buffer=100_000_000, max_event_data_size=100_000)


def publish_burst(server: RunningServer, channel: str, first: int, count: int, padding: int) -> None:
    """Publish numbered events over one connection, pipelined, so that many meet in one loop turn."""
    with RawSocket(server.port) as publisher:
        for number in range(first, first + count):
            event = {"name": "n", "channel": channel, "data": f"{number}:{'x' * padding}"}
            publisher.send(signed_request("POST", "/events", json.dumps(event).encode()))
        for _ in range(count):
            assert publisher.read_response().status == 200


def numbers(client: RawSocket, count: int, padding: int) -> list[int]:
    """The numbers of the next events; each must be whole."""
    found = []
    for _ in range(count):
        number, _, rest = client.read_event()["data"].partition(":")
        assert rest == "x" * padding
        found.append(int(number))
    return found


def test_a_client_that_reads_late_gets_every_event_whole_and_in_order() -> None:
    """Megabytes more than the kernel takes: part of a frame goes to the descriptor, the rest by the transport."""
    with running_server(apps=[ROOMY]) as server, server.connect() as late, server.connect() as prompt:
        late.subscribe("a")
        prompt.subscribe("a")
        for first in range(0, 400, 20):
            publish_burst(server, "a", first, 20, padding=50_000)
            assert numbers(prompt, 20, 50_000) == list(range(first, first + 20))
        assert numbers(late, 400, 50_000) == list(range(400))
        publish_burst(server, "a", 400, 1, padding=10)
        assert numbers(late, 1, 10) == [400]


def test_events_never_reach_a_stranger_when_clients_come_and_go() -> None:
    """Descriptors are used again at once: whoever gets one must not get what was meant for its last owner."""
    choice = random.Random(7)
    with running_server() as server, server.connect() as witness:
        witness.subscribe("room")
        strangers: list[RawSocket] = []
        guests: list[RawSocket] = []
        for turn in range(150):
            for clients, channel in ((strangers, "other"), (guests, "room")):
                client = server.connect()
                client.subscribe(channel)
                clients.append(client)
            for clients in (strangers, guests):
                if len(clients) > 3:
                    clients.pop(choice.randrange(len(clients))).socket.close()
            publish_burst(server, "room", turn, 1, padding=10)
            assert numbers(witness, 1, 10) == [turn]
        publish_burst(server, "other", 1000, 1, padding=10)
        for stranger in strangers:
            assert numbers(stranger, 1, 10) == [1000]
            stranger.socket.close()
        for guest in guests:
            guest.socket.close()


def test_a_publisher_is_answered_after_its_event_was_sent() -> None:
    with running_server(workers=1) as server, server.connect() as client:
        client.subscribe("a")
        for number in range(20):
            publish_burst(server, "a", number, 1, padding=10)
            # The answer has been read: on loopback what was sent before it is here, without any wait.
            assert select.select([client.socket], [], [], 0)[0]
            assert numbers(client, 1, 10) == [number]
