"""A user of a large presence channel opens a tab and closes another, while very many join: nobody is told of it."""

from __future__ import annotations

import itertools

from conformance.protocol.stage import Stage
from soundpost.core.gathered_notices import GATHERED_ABOVE
from soundpost.core.slices import TurnBudget

ROOM = "presence-room"


def test_a_leave_does_not_overtake_a_join_that_waits_for_its_turn() -> None:
    stage = Stage(max_presence_members=GATHERED_ABOVE + 10)
    members = [stage.connect() for _ in range(GATHERED_ABOVE + 2)]
    for number, member in enumerate(members):
        member.ask(ROOM, {"user_id": f"member-{number}"})
    old_tab = stage.connect()
    old_tab.ask(ROOM, {"user_id": "ann"})
    stage.turn()
    stage.wait(1)
    stage.turn()
    members[0].read()
    every_look_ends_a_turn = itertools.count().__next__
    budget = stage.registry.subscriptions._long_lists = TurnBudget(stage.call_soon, every_look_ends_a_turn)
    budget.do(lambda: None)  # others have used up this turn

    stage.connect().ask(ROOM, {"user_id": "ann"})
    old_tab.say("pusher:unsubscribe", {"channel": ROOM})
    assert budget.is_behind
    stage.turn()
    stage.wait(1)
    stage.turn()

    assert [message["event"] for message in members[0].read()] == []
