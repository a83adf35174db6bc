"""The account of a trial finds a forged record of each kind: there is no judge that cannot fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support.resumption.account import Account, Evidence, judge_all
from support.resumption.client_messages import decode, difference_to_stock, event_in
from support.resumption.history import judged_sizes
from support.resumption.members import judged_members
from support.resumption.stages import ROOM
from support.resumption.stories import Began, Entry, Gap, Handed, Kept, Left, Publication, Resumed, Story, Told
from support.resumption.streams import Entry as StreamEntry
from support.resumption.streams import judged_chain
from support.resumption.verdict import Verdict

NUMBERS = range(1, 7)


def position(number: int, generation: str = "g1") -> str:
    return f"{generation}.{1_000 + 10 * number}"


def handed(number: int, **changes: Any) -> Handed:
    entry = Handed(number + 0.5, f"p.{number}", position(number))
    return msgspec.structs.replace(entry, **changes)


def evidence() -> Evidence:
    """What a trial of two clients has if nothing is wrong: six events, one of which excludes the second client."""
    publications = [Publication(ROOM, f"p.{number}", number, answered=number + 0.1) for number in NUMBERS]
    publications[3].excluded = "2.2"
    first: list[Entry] = [Began(0, position(0)), *map(handed, NUMBERS)]
    second: list[Entry] = [
        Began(0, position(0)),
        handed(1),
        handed(2),
        Resumed(4.6, position(2), 1),
        *map(handed, (3, 5, 6)),
    ]
    third: list[Entry] = [Began(0), *map(handed, NUMBERS)]
    stories = [
        Story("one", ROOM, "resuming", first),
        Story("two", ROOM, "resuming", second),
        Story("three", ROOM, "stock", third),
    ]
    pages = {"one": [["1.1"]], "two": [["2.1", "2.2"]], "three": [["3.1"]]}
    return Evidence(
        publications=publications,
        histories=[Kept(ROOM, [(position(number), f"p.{number}") for number in NUMBERS], 100, size=600)],
        tales=[Told(stories, pages)],
        present={"one": ["one", "three", "two"], "the HTTP API": ["one", "three", "two"]},
        streams={"s:room": [StreamEntry(1_000 + 10 * number, 990 + 10 * number) for number in NUMBERS]},
        bound=1_000,
    )


def entries(of: Evidence, client: int = 0) -> list[Entry]:
    return of.tales[0].stories[client].entries


def lost(of: Evidence) -> None:
    del entries(of)[3]


def lost_after_a_resumption(of: Evidence) -> None:
    del entries(of, 1)[4]


def lost_at_the_end(of: Evidence) -> None:
    del entries(of)[-1]


def doubled(of: Evidence) -> None:
    entries(of).append(handed(6))


def doubled_without_its_position(of: Evidence) -> None:
    entries(of).append(handed(6, position=None))


def doubled_for_a_stock_client(of: Evidence) -> None:
    entries(of, 2).append(handed(6))


def disordered(of: Evidence) -> None:
    found = entries(of)
    found[3], found[4] = found[4], found[3]


def gap_not_told(of: Evidence) -> None:
    entries(of)[4:] = [handed(number, position=position(number, "g2")) for number in (4, 5, 6)]


def false_gap(of: Evidence) -> None:
    entries(of).insert(3, Gap(2.6, position(2), "age"))


def gap_before_what_is_kept(of: Evidence) -> None:
    entries(of)[3:5] = [Gap(4.6, position(4), "number")]


def unknown_gap(of: Evidence) -> None:
    entries(of).insert(3, Gap(2.6, position(2), "unknown"))


def own_event_back(of: Evidence) -> None:
    entries(of, 1).insert(5, handed(4))


def offset_reused(of: Evidence) -> None:
    entries(of, 1)[4] = handed(3, event="p.2")


def two_positions(of: Evidence) -> None:
    entries(of)[3] = handed(3, position=position(3).replace(".", ".9"))


def chain_broken(of: Evidence) -> None:
    del of.streams["s:room"][2]


def another_order_in_the_history(of: Evidence) -> None:
    kept = of.histories[0].events
    kept[1], kept[2] = kept[2], kept[1]


def not_in_the_history(of: Evidence) -> None:
    del of.histories[0].events[2]


def acknowledged_and_nowhere(of: Evidence) -> None:
    of.publications.append(Publication(ROOM, "p.7", 7, answered=7.1))


def deleted_and_still_there(of: Evidence) -> None:
    of.histories[0].floor = position(2)


def too_large(of: Evidence) -> None:
    of.bound = 499


def member_missing(of: Evidence) -> None:
    of.present["one"].remove("two")


def member_too_many(of: Evidence) -> None:
    of.present["the HTTP API"].append("four")


def other_bytes(of: Evidence) -> None:
    of.tales[0].stories[2].faults.append(difference_to_stock(b"{}", decode(b'{"event":"tick"}')))


def never_published(of: Evidence) -> None:
    entries(of).append(handed(7))


FORGERIES: dict[Callable[[Evidence], None], str] = {
    lost: "untold",
    lost_after_a_resumption: "untold",
    lost_at_the_end: "untold",
    doubled: "doubled",
    doubled_without_its_position: "doubled",
    doubled_for_a_stock_client: "doubled",
    disordered: "out_of_order",
    gap_not_told: "untold",
    false_gap: "false_gaps",
    gap_before_what_is_kept: "false_gaps",
    unknown_gap: "undecided",
    own_event_back: "echoed",
    offset_reused: "faults",
    two_positions: "faults",
    chain_broken: "faults",
    another_order_in_the_history: "faults",
    not_in_the_history: "faults",
    acknowledged_and_nowhere: "faults",
    deleted_and_still_there: "faults",
    too_large: "faults",
    member_missing: "faults",
    member_too_many: "faults",
    other_bytes: "faults",
    never_published: "faults",
}
WRONG = ("doubled", "out_of_order", "untold", "echoed", "faults", "false_gaps", "undecided")


def figures(verdict: Verdict) -> dict[str, int]:
    return {name: getattr(verdict, name) for name in WRONG if getattr(verdict, name)}


def test_a_trial_in_which_nothing_is_wrong_is_right() -> None:
    verdict, generations = judge_all(evidence(), may_be_lost=False)

    assert figures(verdict) == {}
    assert verdict.right
    assert (verdict.deliveries, generations) == (17, 1)


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_record_is_found(forge: Callable[[Evidence], None]) -> None:
    forged = evidence()
    forge(forged)

    verdict, _ = judge_all(forged, may_be_lost=False)

    assert getattr(verdict, FORGERIES[forge]) > 0, verdict
    assert FORGERIES[forge] in verdict.notes
    assert verdict.right is (FORGERIES[forge] in ("false_gaps", "undecided"))


def test_every_figure_of_what_is_wrong_has_a_forged_record() -> None:
    assert set(FORGERIES.values()) == set(WRONG)


def test_what_was_deleted_may_have_been_seen_by_nobody_but_each_subscriber_has_a_gap() -> None:
    deleted = evidence()
    acknowledged_and_nowhere(deleted)
    deleted.histories[0].deleted_at = 7.2
    assert figures(judge_all(deleted, may_be_lost=False)[0]) == {"untold": 2}

    for client in (0, 1):
        entries(deleted, client).append(Gap(7.3, position(8), "deleted"))
    assert figures(judge_all(deleted, may_be_lost=False)[0]) == {}


def test_a_deleted_history_may_be_empty() -> None:
    deleted = evidence()
    deleted.histories[0].events.clear()
    assert figures(judge_all(deleted, may_be_lost=False)[0]) == {"faults": 1}

    deleted.histories[0].floor = position(6)
    assert figures(judge_all(deleted, may_be_lost=False)[0]) == {}


def test_who_left_the_channel_needs_no_gap_for_what_is_deleted() -> None:
    deleted = evidence()
    acknowledged_and_nowhere(deleted)
    deleted.histories[0].deleted_at = 7.2
    for client in (0, 1):
        entries(deleted, client).append(Left(6.9))

    assert figures(judge_all(deleted, may_be_lost=False)[0]) == {}


def test_a_stream_is_whole_if_each_entry_names_the_one_before() -> None:
    whole = [StreamEntry(10, 3), StreamEntry(20, 10), StreamEntry(30, 20)]

    assert judged_chain("s", whole).faults == 0
    assert judged_chain("s", [*whole[:1], *whole[2:]]).faults == 1
    assert judged_chain("s", [StreamEntry(10, 10)]).faults == 1


def test_members_are_compared_both_ways() -> None:
    assert judged_members(["a", "b"], {"x": ["b", "a"]}).faults == 0
    assert judged_members(["a", "b"], {"x": ["a"], "y": ["a", "b", "c"]}).faults == 2


def test_histories_may_be_one_event_above_their_bound() -> None:
    kept = Kept("orders", [(position(1), "p.1"), (position(2), "p.2")], 10, size=200)

    assert judged_sizes([kept], 100).faults == 0
    assert judged_sizes([kept], 99).faults == 1


def account(**found: Any) -> Account:
    """What comes of a trial in which nothing is wrong, but for what is given."""
    nothing = dict.fromkeys(("events", "generations", "unanswered", "given_up", "sent_again", "dropped"), 0)
    nothing |= dict.fromkeys(("histories", "longest_turn", "streams", "notices"), 0)
    lists: dict[str, Any] = {"away": [], "ends": {}, "refusals": {}, "behind": [], "complaints": [], "waits": []}
    return Account(**(nothing | lists | {"total": Verdict(), "slowest_command": (0.0, "")} | found))


@pytest.mark.parametrize("figure", ["doubled", "out_of_order", "untold", "echoed", "faults"])
def test_an_account_with_such_a_figure_is_wrong_whatever_broke(figure: str) -> None:
    total = Verdict()
    setattr(total, figure, 2)

    assert len(account(total=total).wrong(may_be_lost=True)) == 1


def test_an_account_of_whom_the_last_event_did_not_reach_is_wrong() -> None:
    assert account(behind=["a client"]).wrong(may_be_lost=True) == ["stories that did not reach the end: 1"]
    assert account(complaints=["ERROR"]).wrong(may_be_lost=True) == ["complaints of servers: 1"]


def test_false_gaps_are_wrong_where_nothing_was_lost() -> None:
    assert account().wrong() == []
    false, undecided = account(total=Verdict(false_gaps=3)), account(total=Verdict(undecided=3))

    assert false.wrong() == ["false gaps: 3"]
    assert false.wrong(may_be_undecided=True) == ["false gaps: 3"]
    assert false.wrong(may_be_lost=True) == []
    assert undecided.wrong() == ["false gaps for want of an answer: 3"]
    assert undecided.wrong(may_be_undecided=True) == undecided.wrong(may_be_lost=True) == []
    assert account(unanswered=1).wrong() == ["events never answered: 1"]


STOCK = '{"event":"tick","data":"p.1 \\"é\\"","channel":"orders"}'


@pytest.mark.parametrize("more", ["", ',"position":"g.1"', ',"id":"k1"', ',"id":"k1","position":"g.1"'])
def test_stock_clients_may_be_sent_an_id_and_a_position_behind_the_rest(more: str) -> None:
    payload = f"{STOCK[:-1]}{more}}}".encode()

    assert difference_to_stock(payload, decode(payload)) == ""


@pytest.mark.parametrize(
    "payload",
    [
        '{"event":"tick","channel":"orders","data":"p.1"}',
        '{"event":"tick","data":"p.1","channel":"orders","more":1}',
        '{"event": "tick","data":"p.1","channel":"orders"}',
        '{"event":"tick","data":"p.1","position":"g.1","channel":"orders"}',
        '{"event":"tick","data":"p.1","channel":"orders","position":"g.1","id":"k1"}',
    ],
)
def test_other_bytes_for_stock_clients_are_found(payload: str) -> None:
    assert difference_to_stock(payload.encode(), decode(payload.encode())) != ""


def test_the_name_of_an_event_is_found_whoever_encoded_its_data() -> None:
    assert event_in("p.1 xxx") == event_in('"p.1 xxx"') == "p.1"
