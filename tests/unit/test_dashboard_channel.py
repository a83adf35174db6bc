"""One channel on the dashboard: its kind, long histories, many members."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from soundpost.core.app_settings import HistorySettings
from soundpost.core.member import Member
from soundpost.core.publishing import publish
from soundpost.server.dashboard.channel_page import MAX_MEMBERS
from support.dashboards import Stage, staged
from support.raw_socket import DEFAULT_APP


async def read(stage: Stage, name: str) -> dict[str, Any]:
    operator = await stage.operator()
    assert (await operator.log_in()).status == 204
    found: dict[str, Any] = (await operator.get(f"/api/apps/1/channels/{name}")).json()
    return found


async def test_of_a_long_history_a_part_is_counted() -> None:
    app = replace(DEFAULT_APP, history=(HistorySettings(channels=("kept-*",), events=5_000),))
    async with staged(app=app) as stage:
        for number in range(2_500):
            publish(stage.daemon.operators_node.by_id["1"], "kept-long", "e", str(number))
        for number in range(1_500):
            publish(stage.daemon.operators_node.by_id["1"], "kept-short", "e", str(number))
        long = (await read(stage, "kept-long"))["history"]
        short = (await read(stage, "kept-short"))["history"]
    assert (long["events"], long["more"]) == (2_000, True)
    assert (short["events"], short["more"], short["last"] > short["first"]) == (1_500, False, True)


async def test_of_many_members_some_are_named() -> None:
    async with staged(app=replace(DEFAULT_APP, max_presence_members=2_000)) as stage:
        peers = stage.daemon.operators_node.peers
        for number in range(MAX_MEMBERS + 5):
            peers.join("1", "presence-large", Member(number if number else "<b>", b"null"), lambda snapshot: None)
        found = await read(stage, "presence-large")
    assert (found["member_count"], found["subscribers"]) == (MAX_MEMBERS + 5, MAX_MEMBERS + 5)
    assert (found["members"][:2], len(found["members"])) == (["<b>", "1"], MAX_MEMBERS)
