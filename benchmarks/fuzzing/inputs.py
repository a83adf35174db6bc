"""Inputs, from nonsense to correctly signed nonsense: everything follows from the seed of a ``random.Random``."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

from soundpost.wire import signatures
from soundpost.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from support.raw_socket import DEFAULT_APP, client_frame, fragments, signed_request, upgrade_request

CHANNELS = (
    "fuzz",
    "private-fuzz",
    "presence-fuzz",
    "private-encrypted-fuzz",
    "cache-fuzz",
    "private-cache-fuzz",
    "presence-cache-fuzz",
    "#server-to-user-ann",
    "private-encrypted-cache-fuzz",
)
_KNOWN = ("event", "channel", "data", "auth", "channel_data", "user_id", "user_info", "name", "1.1", "ann", *CHANNELS)
_STRANGE = ("", "é", "\0", "\u2028", "😀", '"', "\\", "x" * 300, "-" * 201)
ODD = (
    b"",
    b"\0",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b" ",
    b'"',
    b"\\",
    b"\\ud800",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"%00",
    b"%zz",
    b"..",
    b"[" * 3000,
    b'{"a":' * 1000,
    b"-1",
    b"1e999",
    b"9" * 400,
    b"18446744073709551616",
    b"NaN",
    b"null",
    b"\x1b[2J",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"pusher:",
    b"pusher_internal:",
    b"client-",
)


def mutated(rng: Random, data: bytes) -> bytes:
    """The same bytes with a few changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.choice((1, 2, 8, 64)))
        match rng.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:end]
            case 2:
                changed[at:at] = rng.choice(ODD)
            case 3:
                changed[at:end] = rng.choice(ODD)
            case 4:
                changed[at:at] = changed[at:end] * rng.choice((1, 3, 50))
            case _:
                del changed[at:]
    return bytes(changed[:60_000])


def json_value(rng: Random, depth: int = 3) -> Any:
    """Any value, of the protocol's own words where they may mean something."""
    if depth and rng.random() < 0.3:
        if rng.random() < 0.5:
            return [json_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        return {word(rng): json_value(rng, depth - 1) for _ in range(rng.randrange(4))}
    numbers = (0, -1, 2**53, 2**64, 10**30, 1.5, 1e308)
    return rng.choice((None, True, False, rng.choice(numbers), word(rng), word(rng), word(rng)))


def word(rng: Random) -> str:
    """A name or a text."""
    if rng.random() < 0.01:
        return "x" * 20_000
    return rng.choice(_KNOWN if rng.random() < 0.7 else _STRANGE)


def pusher_message(rng: Random, socket_id: str) -> bytes:
    """A client's message; its signature is right more often than not."""
    channel = rng.choice(CHANNELS) if rng.random() < 0.9 else word(rng)
    user_id = rng.choice(("ann", "bob", "7", 7, word(rng), json_value(rng)))
    match rng.randrange(7):
        case 0 | 1:
            data: Any = {"channel": channel}
            channel_data = None
            if channel.startswith("presence-"):
                channel_data = json.dumps({"user_id": user_id, "user_info": json_value(rng)})
                data["channel_data"] = channel_data
            text = signatures.channel_text(socket_id, channel, channel_data)
            data["auth"] = f"{DEFAULT_APP.key}:{_signed(rng, text)}"
            message: Any = {"event": "pusher:subscribe", "data": data}
        case 2:
            message = {"event": "pusher:unsubscribe", "data": {"channel": channel}}
        case 3:
            user = json.dumps({"id": user_id, "user_info": json_value(rng)})
            auth = f"{DEFAULT_APP.key}:{_signed(rng, signatures.user_text(socket_id, user))}"
            message = {"event": "pusher:signin", "data": {"auth": auth, "user_data": user}}
        case 4:
            message = {"event": f"client-{word(rng)}", "channel": channel, "data": json_value(rng)}
        case 5:
            message = {"event": rng.choice(("pusher:ping", "pusher:pong", "pusher:error", word(rng))), "data": {}}
        case _:
            message = json_value(rng)
    if isinstance(message, dict) and rng.random() < 0.2:
        message[rng.choice(("event", "channel", "data", word(rng)))] = json_value(rng)
    if isinstance(message, dict) and "data" in message and rng.random() < 0.2:
        message["data"] = json.dumps(message["data"])
    payload = json.dumps(message, ensure_ascii=rng.random() < 0.5).encode(errors="replace")
    return mutated(rng, payload) if rng.random() < 0.3 else payload


def _signed(rng: Random, text: str) -> str:
    return signatures.sign(DEFAULT_APP.secret if rng.random() < 0.8 else "another", text)


def websocket_bytes(rng: Random, socket_id: str) -> bytes:
    """Frames: whole and in fragments, compressed or said to be, with control frames between, some of them broken."""
    sent = b""
    for _ in range(rng.randrange(1, 6)):
        payload = pusher_message(rng, socket_id)
        match rng.randrange(8):
            case 0 | 1:
                sent += client_frame(TEXT, payload)
            case 2:
                parts = _parts(rng, payload)
                whole = fragments(TEXT, parts)
                sent += whole if rng.random() < 0.5 else whole[: len(whole) // 2]
            case 3:
                sent += client_frame(TEXT, _deflated(rng, payload), rsv=rng.choice((4, 4, 4, 7)))
            case 4:
                opcode = rng.choice((PING, PONG, CLOSE))
                sent += client_frame(opcode, rng.randbytes(rng.choice((0, 1, 2, 125, 126))), fin=rng.random() < 0.9)
            case 5:
                length = rng.choice((0, 125, 126, 65_535, 65_536, 2**31, 2**63 - 1))
                sent += client_frame(TEXT, payload, length=length, length_bytes=8)
            case 6:
                opcode = rng.choice((CONTINUATION, BINARY, 3, 7, 11, 15))
                sent += client_frame(opcode, payload[:100], rsv=rng.randrange(8))
            case _:
                sent += rng.randbytes(rng.randrange(200))
    return mutated(rng, sent) if rng.random() < 0.3 else sent


def _parts(rng: Random, payload: bytes) -> Sequence[bytes]:
    size = rng.choice((1, 7, 100, 5000))
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    return [*parts[:200], b"", b""]


def _deflated(rng: Random, payload: bytes) -> bytes:
    if rng.random() < 0.1:
        payload = b" " * rng.choice((10_000, 3_000_000))
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    return mutated(rng, packed) if rng.random() < 0.3 else packed.removesuffix(b"\0\0\xff\xff")


def http_bytes(rng: Random) -> bytes:
    """Requests of the HTTP API: signed or not, valid or broken, several in one write."""
    count = rng.choice((1, 1, 1, 3))
    request = b"".join(_request(rng, ("Connection: close",) * (number == count - 1)) for number in range(count))
    return mutated(rng, request) if rng.random() < 0.5 else request


def _request(rng: Random, last: tuple[str, ...]) -> bytes:
    event: Any = {
        "name": word(rng),
        "channels": [rng.choice(CHANNELS) for _ in range(rng.choice((0, 1, 2, 101)))],
        "data": word(rng),
    }
    if rng.random() < 0.3:
        event[rng.choice(("name", "channels", "channel", "data", "socket_id", "info"))] = json_value(rng)
    method, path, body = rng.choice(
        (
            ("POST", "/events", event),
            ("POST", "/events", event),
            ("POST", "/batch_events", {"batch": [{**event, "channel": "fuzz"}] * rng.choice((0, 1, 11))}),
            ("GET", "/channels", None),
            ("GET", f"/channels/{rng.choice(CHANNELS)}", None),
            ("GET", f"/channels/{rng.choice(CHANNELS)}/users", None),
            ("GET", "/connections", None),
            ("POST", f"/users/{rng.choice(('ann', 'bob', '%00'))}/terminate_connections", {}),
            (rng.choice(("PUT", "HEAD", "OPTIONS", "DELETE", "TRACE")), "/events", json_value(rng)),
        )
    )
    payload = b"" if body is None else json.dumps(body).encode(errors="replace")
    if payload and rng.random() < 0.3:
        payload = mutated(rng, payload)
    query = {rng.choice(("info", "filter_by_prefix", "auth_key", "x")): word(rng)[:200]} if rng.random() < 0.3 else {}
    headers = rng.choice(((), (), (), ("Idempotency-Key: a",), ("X-Forwarded-For: \xff",), ("Expect: 100-continue",)))
    if rng.random() < 0.1:
        return upgrade_request(f"/app/{DEFAULT_APP.key}?protocol={rng.choice(('7', '', '99', 'x'))}")
    if rng.random() < 0.1:
        path = f"/{word(rng)}".encode("ascii", "ignore").decode().replace("\0", "")
    if rng.random() < 0.2:
        line = f"{method} /apps/1{path}?auth_key=app-key&auth_signature={'0' * 64} HTTP/1.1\r\nHost: fuzz\r\n"
        more = "".join(f"{each}\r\n" for each in last)
        return f"{line}{more}Content-Length: {len(payload)}\r\n\r\n".encode("latin-1") + payload
    return signed_request(method, path, payload, query=query, headers=(*headers, *last))
