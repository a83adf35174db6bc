"""Kinds of channels are anchored prefixes; names have few characters."""

from __future__ import annotations

import pytest

from soundpost.wire.channel_names import Kind, fault, is_encrypted, kind_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("foo", Kind.PUBLIC),
        ("private-foo", Kind.PRIVATE),
        ("private-encrypted-foo", Kind.ENCRYPTED),
        ("presence-foo", Kind.PRESENCE),
        ("cache-foo", Kind.CACHE),
        ("private-cache-foo", Kind.PRIVATE_CACHE),
        ("private-encrypted-cache-foo", Kind.ENCRYPTED_CACHE),
        ("presence-cache-foo", Kind.PRESENCE_CACHE),
        ("#server-to-user-foo", Kind.USER),
        # A prefix counts at the very beginning only, with its dash, in lower case.
        ("", Kind.PUBLIC),
        ("private", Kind.PUBLIC),
        ("privatefoo", Kind.PUBLIC),
        ("presence", Kind.PUBLIC),
        ("presenceX", Kind.PUBLIC),
        ("cached", Kind.PUBLIC),
        ("cachefoo", Kind.PUBLIC),
        ("Private-foo", Kind.PUBLIC),
        ("my-private-foo", Kind.PUBLIC),
        ("-cache-foo", Kind.PUBLIC),
        ("private-mycache-1", Kind.PRIVATE),
        ("private-cachefoo", Kind.PRIVATE),
        ("private-encryptedfoo", Kind.PRIVATE),
        ("private-presence-foo", Kind.PRIVATE),
        ("presence-cached", Kind.PRESENCE),
        ("presence-encrypted-foo", Kind.PRESENCE),
        ("presence-private-foo", Kind.PRESENCE),
        ("cache-private-foo", Kind.CACHE),
        ("cache-presence-foo", Kind.CACHE),
        ("private-encrypted-cached", Kind.ENCRYPTED),
        ("private-cache-encrypted-foo", Kind.PRIVATE_CACHE),
        ("private-", Kind.PRIVATE),
        ("presence-cache-", Kind.PRESENCE_CACHE),
        ("server-to-user-foo", Kind.PUBLIC),
    ],
)
def test_kind_of(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind
    assert is_encrypted(name) is kind.is_encrypted


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("news", "public"),
        ("cache-news", "cache"),
        ("private-a", "private"),
        ("private-cache-a", "private"),
        ("private-encrypted-a", "encrypted"),
        ("private-encrypted-cache-a", "encrypted"),
        ("presence-a", "presence"),
        ("presence-cache-a", "presence"),
        ("#server-to-user-5", "user"),
    ],
)
def test_the_kind_of_a_channel_in_a_word(name: str, word: str) -> None:
    assert kind_of(name).word == word


@pytest.mark.parametrize(
    ("kind", "auth", "presence", "encrypted", "cache", "client_events"),
    [
        (Kind.PUBLIC, False, False, False, False, False),
        (Kind.PRIVATE, True, False, False, False, True),
        (Kind.ENCRYPTED, True, False, True, False, False),
        (Kind.PRESENCE, True, True, False, False, True),
        (Kind.CACHE, False, False, False, True, False),
        (Kind.PRIVATE_CACHE, True, False, False, True, True),
        (Kind.ENCRYPTED_CACHE, True, False, True, True, False),
        (Kind.PRESENCE_CACHE, True, True, False, True, True),
        (Kind.USER, False, False, False, False, False),
    ],
)
def test_what_a_kind_means(
    kind: Kind, auth: bool, presence: bool, encrypted: bool, cache: bool, client_events: bool
) -> None:
    found = (kind.needs_auth, kind.is_presence, kind.is_encrypted, kind.is_cache, kind.takes_client_events)

    assert found == (auth, presence, encrypted, cache, client_events)


@pytest.mark.parametrize("name", ["a", "-_=@,.;", "AZaz09", "x" * 200, "private-a", "#server-to-user-any thing/ä"])
def test_good_names_have_no_fault(name: str) -> None:
    assert fault(name, 200) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        ("x" * 201, "201 characters: at most 200"),
        ("a b", "'a b'"),
        ("a/b", "'a/b'"),
        ("a\n", "channel name 'a\\n' has"),
        ("a\u202e", "\\u202e"),
        ("#", "'#'"),
        ("#server-to-user-", "#server-to-user-"),
        ("#server-to-user-a\nb", "\\n"),
        ("#private-a", "#private-a"),
    ],
)
def test_a_fault_names_what_is_wrong(name: str, said: str) -> None:
    found = fault(name, 200)

    assert found is not None
    assert said in found
    assert found.isprintable()
