"""Ids of master keys, by which a server tells that a key is another one."""

from __future__ import annotations

import re

from soundpost.wire.encryption import key_id, shared_secret


def test_each_key_has_an_id_of_its_own_that_does_not_change() -> None:
    assert key_id(bytes(32)) == key_id(bytes(32)) == "xXadZY8IgT3U"
    assert key_id(b"k" * 32) != key_id(bytes(32))


def test_an_id_can_be_sent_and_shows_nothing_of_the_secrets() -> None:
    key = bytes(range(32))
    assert re.fullmatch(r"[-\w]{12}", key_id(key), re.ASCII)
    assert key_id(key).encode() not in (key.hex() + shared_secret("private-encrypted-a", key).hex()).encode()
