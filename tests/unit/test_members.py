"""The member list of a presence channel, and what a join costs."""

from __future__ import annotations

import json
from unittest import mock

from soundpost.backplane import members as members_module
from soundpost.backplane.members import Members
from soundpost.core.member import Member
from soundpost.wire.json_text import encode as encode_json


def listed(members: Members) -> object:
    return json.loads(json.loads(members.as_json_string()))["presence"]


def test_without_members_the_list_is_empty() -> None:
    members = Members()

    assert listed(members) == {"count": 0, "ids": [], "hash": {}}
    assert len(members) == 0
    assert "1" not in members


def test_enter_says_who_is_first_and_leave_who_is_last() -> None:
    members = Members()

    first = Member("1", b'{"a":1}')

    assert members.enter(first)
    assert not members.enter(Member(1, b"null"))
    assert members.leave("1") is None
    assert "1" in members
    assert members.leave("1") is first
    assert listed(members) == {"count": 0, "ids": [], "hash": {}}


def test_ids_are_listed_as_they_were_written() -> None:
    members = Members()
    for id in (1, "b", 0):
        members.enter(Member(id, b"null"))

    assert members.ids_json == [b"1", b'"b"', b"0"]
    assert listed(members) == {"count": 3, "ids": [1, "b", 0], "hash": {"1": None, "b": None, "0": None}}


def test_a_join_encodes_its_own_member_only() -> None:
    """2,000 members are no more encoding work for the 2,001st than for the first."""
    members = Members()
    for id in range(2_000):
        members.enter(Member(id, b'{"name":"x"}'))

    with mock.patch.object(members_module, "encode", wraps=encode_json) as encode:
        members.enter(Member("new", b'{"name":"y"}'))
        members.as_json_string()
        assert encode.call_count <= 5
        assert sum(len(str(call.args[0])) for call in encode.call_args_list) < 200
