"""Encrypted channels in the client: keys, events that open, and those that do not."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode

import pusher
import pytest
from nacl.secret import SecretBox

from soundpost.client.authorization import ChannelAuth, with_secret
from soundpost.client.encrypted_events import EncryptedEvents
from soundpost.client.encryption import DecryptionError, decrypt, master_key_of, secret_of, shared_secret
from soundpost.client.incoming import Frame
from soundpost.errors import ConfigurationError, RequestError

MASTER_KEY = bytes(range(32))
CHANNEL = "private-encrypted-x"
OLD, NEW = b"o" * 32, b"n" * 32


def sealed(text: str, secret: bytes, position: str | None = None) -> Frame:
    box = SecretBox(secret).encrypt(text.encode())
    data = {"nonce": b64encode(box.nonce).decode(), "ciphertext": b64encode(box.ciphertext).decode()}
    return Frame("entry", CHANNEL, json.dumps(data), position=position)


class Reader:
    """Opens events with what ``fetch`` gives when the old secret does not fit."""

    def __init__(self, *secrets: bytes | Exception) -> None:
        self.read: list[str] = []
        self.fetched = 0
        self._secrets = list(secrets)
        self.events = EncryptedEvents(CHANNEL, OLD, self._fetch, self._deliver)

    async def _fetch(self) -> bytes:
        self.fetched += 1
        await asyncio.sleep(0)
        secret = self._secrets.pop(0)
        if isinstance(secret, Exception):
            raise secret
        return secret

    async def _deliver(self, frame: Frame) -> None:
        is_gap = frame.event == "soundpost:gap"
        self.read.append(f"gap {frame.content()['reason']} {frame.position}" if is_gap else frame.data)

    async def receive(self, *frames: Frame) -> None:
        for frame in frames:
            await self.events.receive(frame)
        for _ in range(5):
            await asyncio.sleep(0)


def test_a_master_key_is_32_bytes_or_their_base64() -> None:
    assert master_key_of(MASTER_KEY) == master_key_of(b64encode(MASTER_KEY).decode()) == MASTER_KEY


@pytest.mark.parametrize("key", [b"short", "c2hvcnQ=", "no base64 at all"])
def test_other_master_keys_are_refused_without_repeating_them(key: bytes | str) -> None:
    with pytest.raises(ConfigurationError, match="encryption_master_key: expected") as caught:
        with_secret("key", "secret", encryption_master_key=key)
    assert "short" not in str(caught.value)


def test_the_secret_of_a_channel_is_the_one_pusher_s_sdks_make() -> None:
    sdk = pusher.Pusher("1", "key", "secret", encryption_master_key_base64=b64encode(MASTER_KEY).decode())
    answer = sdk.authenticate(CHANNEL, "1.1")
    assert shared_secret(CHANNEL, MASTER_KEY) == answer["shared_secret"].decode()
    auth = with_secret("key", "secret", encryption_master_key=MASTER_KEY)("1.1", CHANNEL)
    assert auth == ChannelAuth(answer["auth"], None, answer["shared_secret"].decode())


def test_other_channels_have_no_secret() -> None:
    auth = with_secret("key", "secret", encryption_master_key=MASTER_KEY)("1.1", "private-x")
    assert auth is not None
    assert auth.shared_secret is None


@pytest.mark.parametrize("secret", ["c2hvcnQ=", "no base64 at all"])
def test_a_shared_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="shared_secret"):
        secret_of(secret)


def test_without_pynacl_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.client.encryption.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'soundpost\[encryption\]'"):
        secret_of(shared_secret(CHANNEL, MASTER_KEY))


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"nonce": 1, "ciphertext": "x"},
        {"nonce": "AAAA", "ciphertext": "AAAA"},
        {"nonce": "ü", "ciphertext": "ü"},
        sealed("text", NEW).content(),
    ],
)
def test_what_does_not_open_is_one_error(content: dict[str, str]) -> None:
    with pytest.raises(DecryptionError):
        decrypt(content, OLD)


async def test_events_are_opened() -> None:
    reader = Reader()
    await reader.receive(sealed('{"text":"Geheim 🔒"}', OLD), sealed("plain words", OLD))
    assert reader.read == ['{"text":"Geheim 🔒"}', "plain words"]
    assert reader.fetched == 0


async def test_a_new_secret_is_fetched_once_and_the_order_is_kept() -> None:
    reader = Reader(NEW)
    await reader.receive(sealed("1", OLD), sealed("2", NEW), sealed("3", NEW))
    await reader.receive(sealed("4", NEW))
    assert reader.read == ["1", "2", "3", "4"]
    assert reader.fetched == 1


async def test_what_the_new_secret_does_not_open_is_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader(NEW)
    await reader.receive(sealed("1", b"x" * 32), sealed("2", NEW))
    assert reader.read == ["2"]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{CHANNEL}: the event entry could not be decrypted and is dropped")


async def test_without_a_new_secret_the_event_is_dropped_and_the_next_one_asks_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader = Reader(RequestError(503, "away"), NEW)
    await reader.receive(sealed("1", NEW))
    await reader.receive(sealed("2", NEW))
    assert reader.read == ["2"]
    assert "no new secret: away" in caplog.text


async def test_events_with_positions_that_do_not_open_are_one_gap_behind_the_last_of_them() -> None:
    reader = Reader(NEW)
    events = [sealed(str(number), b"x" * 32, f"g.{number}") for number in (1, 2)]
    await reader.receive(sealed("0", OLD, "g.0"), *events, sealed("3", NEW, "g.3"), sealed("4", OLD, "g.4"))
    assert reader.read == ["0", "gap decryption g.2", "3", "gap decryption g.4"]


async def test_a_gap_of_the_server_keeps_its_place_and_needs_no_secret() -> None:
    gap = Frame("soundpost:gap", CHANNEL, '{"reason":"deleted"}', position="g.9")
    reader = Reader(RequestError(503, "away"))
    await reader.receive(gap, sealed("1", NEW), gap)
    assert reader.read == ["gap deleted g.9", "gap deleted g.9"]
    assert reader.fetched == 1


async def test_more_events_than_may_wait_for_a_secret_are_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundpost.client.encrypted_events.MAX_WAITING", 3)
    reader = Reader(NEW)
    await reader.receive(*(sealed(str(number), NEW, f"g.{number}") for number in range(6)))
    assert reader.read == ["0", "1", "2", "gap decryption g.5"]


async def test_what_waits_for_a_secret_can_be_forgotten() -> None:
    reader = Reader(NEW, NEW)
    await reader.events.receive(sealed("1", NEW, "g.1"))
    reader.events.forget()
    await reader.receive(sealed("1", NEW, "g.1"), sealed("2", NEW, "g.2"))
    assert reader.read == ["1", "2"]
