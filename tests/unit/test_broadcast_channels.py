"""Channels by their kinds, and the names they have on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from soundpost import Channel, EncryptedPrivateChannel, PresenceChannel, PrivateChannel, UserChannel
from soundpost.broadcasting.channels import names_of
from soundpost.errors import PayloadError
from soundpost.wire.channel_names import Kind, kind_of


@pytest.mark.parametrize(
    ("channel", "name", "kind"),
    [
        (Channel("orders"), "orders", Kind.PUBLIC),
        (Channel("orders").cached(), "cache-orders", Kind.CACHE),
        (PrivateChannel("orders.7"), "private-orders.7", Kind.PRIVATE),
        (PrivateChannel("orders.7").cached(), "private-cache-orders.7", Kind.PRIVATE_CACHE),
        (PresenceChannel("room"), "presence-room", Kind.PRESENCE),
        (PresenceChannel("room").cached(), "presence-cache-room", Kind.PRESENCE_CACHE),
        (EncryptedPrivateChannel("bids"), "private-encrypted-bids", Kind.ENCRYPTED),
        (EncryptedPrivateChannel("bids").cached(), "private-encrypted-cache-bids", Kind.ENCRYPTED_CACHE),
        (UserChannel(7), "#server-to-user-7", Kind.USER),
    ],
)
def test_names_on_the_wire(channel: Channel, name: str, kind: Kind) -> None:
    assert str(channel) == channel.name == name
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    ("make", "name", "right"),
    [
        (PrivateChannel, "private-orders.1", "PrivateChannel('orders.1')"),
        (PrivateChannel, "private-encrypted-bids", "PrivateChannel('encrypted-bids')"),
        (PrivateChannel, PrivateChannel("orders.1"), "PrivateChannel('orders.1')"),
        (PresenceChannel, "presence-room", "PresenceChannel('room')"),
        (EncryptedPrivateChannel, "private-encrypted-bids", "EncryptedPrivateChannel('bids')"),
        (EncryptedPrivateChannel, "private-bids", "EncryptedPrivateChannel('bids')"),
        (PrivateChannel("{name}").filled, {"name": "private-orders.1"}, "PrivateChannel('orders.1')"),
    ],
)
def test_a_prefix_that_the_class_adds_too_is_refused(make: Callable[[Any], Channel], name: object, right: str) -> None:
    with pytest.raises(PayloadError, match=rf"leave the prefix out, the class adds it: {re.escape(right)}$"):
        make(name)


def test_a_users_own_channel_cannot_be_cached() -> None:
    with pytest.raises(TypeError, match=r"PrivateChannel\(…\)\.cached\(\)"):
        UserChannel(7).cached()


def test_placeholders_are_filled() -> None:
    channel = PrivateChannel("{team}.orders.{order_id}").cached()
    assert channel.placeholders == ["team", "order_id"]
    filled = channel.filled({"team": "a", "order_id": 7, "more": 1})
    assert filled == PrivateChannel("a.orders.7").cached()
    assert type(filled) is PrivateChannel
    with pytest.raises(KeyError):
        channel.filled({"team": "a"})


def test_channels_are_equal_by_name_and_show_themselves() -> None:
    assert PrivateChannel("a") == Channel("private-a")
    assert PrivateChannel("a") != "private-a"
    assert len({PrivateChannel("a"), Channel("private-a"), Channel("a")}) == 2
    assert repr(PrivateChannel("orders.7")) == "PrivateChannel('orders.7')"


def test_names_are_given_once_and_in_order() -> None:
    assert names_of("orders") == ["orders"]
    assert names_of(PrivateChannel("a")) == ["private-a"]
    assert names_of([PrivateChannel("b"), "a", Channel("private-b"), "a"]) == ["private-b", "a"]
    assert names_of(iter(())) == []
