"""Targets of fuzzing: each sends a round of inputs that follow from a seed, and counts the answers."""

from __future__ import annotations

import json
import select
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from typing import Any, Final

import redis

from fuzzing.bystander import CHANNEL
from fuzzing.inputs import CHANNELS, ODD, http_bytes, mutated, pusher_message, websocket_bytes
from soundpost.backplane.redis.message_fields import join_fields
from soundpost.backplane.redis.topic_messages import MAGIC
from soundpost.wire import signatures
from soundpost.wire.frames import CLOSE, PING, PONG, TEXT
from support.raw_socket import DEFAULT_APP, RawSocket, client_frame, http_request, signed_request

INPUTS: Final = 40
"""Of a round."""
PATIENCE: Final = 0.5
"""Seconds for which an answer to bytes that may ask for none is waited for."""
_SOON: Final = 0.2
"""The same where most answers end with the connection, and many are waited for at a time."""
_RESTART: Final = MAGIC + b"R"
"""Begins a message by which whoever is in Redis may restart the cluster: documented, and no fault."""
_LAST: Final = b"the last"
_DEFLATE: Final = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

Round = Callable[[Random, int, str], "Counter[str]"]
"""A seed's generator, the server's port, Redis's address: how often each answer came; those with "!" are faults."""


def frames(rng: Random, port: int, redis_url: str) -> Counter[str]:
    """WebSocket frames that may be anything."""
    return _websocket(rng, port, websocket_bytes)


def messages(rng: Random, port: int, redis_url: str) -> Counter[str]:
    """Whole frames with Pusher messages, many of them right."""
    return _websocket(rng, port, lambda rng, socket_id: client_frame(TEXT, pusher_message(rng, socket_id)))


@contextmanager
def _connected(port: int) -> Iterator[RawSocket]:
    """A client that leaves by a reset: thousands that said goodbye would use up the ports of the machine."""
    with RawSocket(port) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        yield client


def _websocket(rng: Random, port: int, made: Callable[[Random, str], bytes]) -> Counter[str]:
    counts: Counter[str] = Counter()
    while counts["inputs"] < INPUTS:
        with _connected(port) as client:
            offers = {"Sec_WebSocket_Extensions": _DEFLATE} if rng.random() < 0.5 else {}
            client.handshake("/app/app-key?protocol=7", **offers)
            socket_id = str(json.loads(client.read_event()["data"])["socket_id"])
            client.socket.settimeout(PATIENCE)
            with suppress(OSError):
                for _ in range(rng.randrange(1, 12)):
                    counts["inputs"] += 1
                    client.send(made(rng, socket_id))
                client.send_frame(PING, _LAST)
            counts += _heard(client)
    return counts


def _heard(client: RawSocket) -> Counter[str]:
    """What the server said, to its end or until it says no more."""
    counts: Counter[str] = Counter()
    try:
        while True:
            first, second = client.read_exactly(2)
            length = second & 0x7F
            if length >= 126:
                length = int.from_bytes(client.read_exactly(2 if length == 126 else 8), "big")
            payload = client.read_exactly(length)
            if first & 0x0F == PONG and payload == _LAST:
                counts["stayed open"] += 1
                return counts
            if first & 0x0F == CLOSE:
                code = int.from_bytes(payload[:2], "big")
                counts[f"closed with {code}{'!' if code == 1011 else ''}"] += 1
                return counts
            if b"failed to handle this message" in payload:
                counts["failed to handle!"] += 1
            else:
                counts["frames"] += 1
    except TimeoutError:
        counts["waits for more"] += 1
    except (EOFError, OSError):
        pass
    return counts


def http(rng: Random, port: int, redis_url: str) -> Counter[str]:
    """Requests of the HTTP API, over connections of their own, all of a round at a time."""
    counts: Counter[str] = Counter(inputs=INPUTS)
    answers: dict[socket.socket, bytes] = {}
    with ExitStack() as stack:
        for _ in range(INPUTS):
            client = stack.enter_context(_connected(port))
            with suppress(OSError):
                client.send(http_bytes(rng))
            answers[client.socket] = b""
        waiting = set(answers)
        while waiting and (ready := select.select(list(waiting), [], [], _SOON)[0]):
            for each in ready:
                data = b""
                with suppress(OSError):
                    data = each.recv(65_536)
                answers[each] += data
                if not data:
                    waiting.discard(each)
    for answer in answers.values():
        if not answer:
            counts["no answer"] += 1
        elif not answer.startswith(b"HTTP/1.1 "):
            counts["no HTTP!"] += 1
        else:
            status = answer[9:12].decode("latin-1")
            counts[f"{status}{'!' if status == '500' else ''}"] += 1
    return counts


def redis_topics(rng: Random, port: int, redis_url: str) -> Counter[str]:
    """Whatever may come over Redis: garbage, real messages, and real ones with changes, on every topic there is."""
    counts: Counter[str] = Counter()
    server: Any = redis.Redis.from_url(redis_url)
    with server.pubsub() as ear, _crowd(rng, port) as crowd:
        ear.psubscribe("*")
        real = _real_messages(rng, port, ear)
        topics = [topic for topic in server.pubsub_channels() if not topic.endswith(CHANNEL.encode())]
        for _ in range(INPUTS):
            topic, data = rng.choice(real) if real and rng.random() < 0.7 else (rng.choice(topics), _garbage(rng))
            if rng.random() < 0.8:
                data = mutated(rng, data)
            if rng.random() < 0.3:
                topic = rng.choice(topics)
            if data.startswith(_RESTART) or topic.endswith(CHANNEL.encode()):
                continue
            counts["inputs"] += 1
            counts["heard by hosts"] += int(server.publish(topic, data))
        crowd.socket.settimeout(PATIENCE)
        with suppress(OSError):
            crowd.send_frame(PING, _LAST)
        counts += _heard(crowd)
    server.close()
    return counts


def _crowd(rng: Random, port: int) -> RawSocket:
    """A client on every kind of channel."""
    client = RawSocket.open(port)
    for channel in CHANNELS[:7]:
        data = json.dumps({"user_id": rng.choice(("ann", 7))}) if channel.startswith("presence-") else None
        auth = signatures.sign(DEFAULT_APP.secret, signatures.channel_text(client.socket_id, channel, data))
        more = {} if data is None else {"channel_data": data}
        client.send_event("pusher:subscribe", {"channel": channel, "auth": f"{DEFAULT_APP.key}:{auth}", **more})
        client.read_event()
    return client


def _real_messages(rng: Random, port: int, ear: Any) -> list[tuple[bytes, bytes]]:
    """What the server itself publishes on topics, with the topics."""
    body = b'{"name":"fuzz","channels":["fuzz","presence-fuzz","cache-fuzz"],"data":"x"}'
    http_request(port, signed_request("POST", "/events", body))
    found = []
    while (message := ear.get_message(timeout=0.05)) is not None:
        if message["type"] == "pmessage":
            found.append((message["channel"], message["data"]))
    return found


def _garbage(rng: Random) -> bytes:
    kind = rng.choice((b"E", b"!", b"+", b"-", b"~", b"#", b"N", b"X", b"?", b""))
    fields = [rng.choice((b"1", b"0", b"-1", b"", b"9" * 30, b"1.1", b"a", *ODD)) for _ in range(rng.randrange(6))]
    begin = rng.choice((MAGIC, MAGIC, b"S1", b"S9", b"", rng.randbytes(20)))
    return begin + kind + (join_fields(fields) if rng.random() < 0.7 else b" ".join(fields))


TARGETS: Final[dict[str, Round]] = {"frames": frames, "messages": messages, "http": http, "redis": redis_topics}
