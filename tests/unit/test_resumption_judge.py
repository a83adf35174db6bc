"""The judge of resumption finds what was planted: losses, doubles, disorder, gaps not told, false gaps, echoes."""

from __future__ import annotations

from dataclasses import dataclass, field

from support.resumption.history import judged_history, truths
from support.resumption.judge import judged
from support.resumption.stories import (
    Began,
    Entry,
    Gap,
    Handed,
    Kept,
    Left,
    Publication,
    Rendered,
    Resumed,
    Story,
)
from support.resumption.verdict import Verdict

CHANNEL = "orders"
EVENTS = [f"p.{number}" for number in range(1, 7)]


def position(number: int, generation: str = "g1") -> str:
    """The position of event ``number``; 0: before all."""
    return f"{generation}.{1_000 + 10 * number}"


def handed(*numbers: int, generation: str = "g1") -> list[Entry]:
    return [Handed(number + 0.5, f"p.{number}", position(number, generation)) for number in numbers]


@dataclass
class Scene:
    """Six events, published one a second, that another client was given all."""

    publications: list[Publication] = field(
        default_factory=lambda: [
            Publication(CHANNEL, event, sent=number, answered=number + 0.1) for number, event in enumerate(EVENTS, 1)
        ]
    )
    others: list[Story] = field(
        default_factory=lambda: [
            Story("other", CHANNEL, "resuming", [Began(0, position(0)), *handed(1, 2, 3, 4, 5, 6)])
        ]
    )

    def verdict(self, *entries: Entry, own: tuple[str, ...] = (), **options: object) -> Verdict:
        story = Story("client", CHANNEL, "resuming", [Began(0, position(0)), *entries])
        for name, value in options.items():
            setattr(story, name, value)
        return judged(story, truths(self.publications, [story, *self.others], ())[CHANNEL], [own])

    def history(self, *numbers: int, most: int = 100, may_be_lost: bool = False, stories: bool = True) -> Verdict:
        kept = Kept(CHANNEL, [(position(number), f"p.{number}") for number in numbers], most)
        truth = truths(self.publications, self.others if stories else (), [kept])[CHANNEL]
        return judged_history(kept, truth, may_be_lost=may_be_lost)


def figures(verdict: Verdict) -> dict[str, int]:
    """All that are not 0, but for the deliveries."""
    names = [name for name in verdict.__struct_fields__ if name not in ("notes", "deliveries")]
    return {name: getattr(verdict, name) for name in names if getattr(verdict, name)}


def test_all_in_order_is_right() -> None:
    verdict = Scene().verdict(*handed(1, 2, 3, 4, 5, 6))

    assert figures(verdict) == {}
    assert verdict.deliveries == 6
    assert verdict.right


def test_a_resumption_without_a_hole_is_right() -> None:
    assert figures(Scene().verdict(*handed(1, 2), Resumed(3, position(2), 2), *handed(3, 4, 5, 6))) == {}


def test_a_lost_event_is_found() -> None:
    verdict = Scene().verdict(*handed(1, 2, 4, 5, 6))

    assert figures(verdict) == {"lost": 1, "untold": 1}
    assert "p.3" in verdict.notes["untold"][0]
    assert not verdict.right


def test_a_lost_event_after_a_resumption_is_found() -> None:
    assert figures(Scene().verdict(*handed(1), Resumed(3, position(1), 1), *handed(3, 4, 5, 6))) == {
        "lost": 1,
        "untold": 1,
    }


def test_a_lost_last_event_is_found() -> None:
    assert figures(Scene().verdict(*handed(1, 2, 3, 4))) == {"lost": 2, "untold": 1}


def test_a_lost_first_event_is_found() -> None:
    assert figures(Scene().verdict(*handed(2, 3, 4, 5, 6))) == {"lost": 1, "untold": 1}


def test_whoever_left_misses_nothing_after() -> None:
    assert figures(Scene().verdict(*handed(1, 2, 3), Left(3.6))) == {}


def test_a_double_is_found() -> None:
    assert figures(Scene().verdict(*handed(1, 2, 3), *handed(3, 4, 5, 6))) == {"doubled": 1}


def test_an_event_given_at_once_without_a_position_and_again_with_it_is_a_double() -> None:
    first = Handed(1.5, "p.1")

    assert figures(Scene().verdict(first, *handed(2, 3, 4, 5, 6))) == {}
    assert figures(Scene().verdict(first, *handed(1, 2, 3, 4, 5, 6))) == {"doubled": 1}


def test_disorder_is_found() -> None:
    found = figures(Scene().verdict(*handed(1, 3, 2, 4, 5, 6)))

    assert found["out_of_order"] >= 1


def test_disorder_of_two_publishers_is_found_by_positions() -> None:
    scene = Scene()
    scene.publications[2].event = "q.1"
    for story in scene.others:
        story.entries[3] = Handed(3.5, "q.1", position(3))
    moved = [*handed(1), Handed(3.5, "q.1", position(3)), *handed(2, 4, 5, 6)]

    assert figures(scene.verdict(*moved))["out_of_order"] == 1


def test_a_gap_covers_what_is_missing_before_its_position() -> None:
    verdict = Scene().verdict(*handed(1, 2), Gap(5, position(4), "age"), *handed(5, 6))

    assert figures(verdict) == {"lost": 2, "gaps": 1}
    assert verdict.right


def test_a_gap_covers_nothing_behind_its_position() -> None:
    assert figures(Scene().verdict(*handed(1, 2), Gap(5, position(4), "age"), *handed(6))) == {
        "lost": 3,
        "gaps": 1,
        "untold": 1,
    }


def test_a_false_gap_is_found() -> None:
    assert figures(Scene().verdict(*handed(1, 2), Gap(2.6, position(2), "age"), *handed(3, 4, 5, 6))) == {
        "gaps": 1,
        "false_gaps": 1,
    }


def test_a_gap_before_events_that_are_kept_is_a_false_one() -> None:
    scene = Scene()
    story = Story(
        "client", CHANNEL, "resuming", [Began(0, position(0)), *handed(1, 2), Gap(5, position(4), "age"), *handed(5, 6)]
    )

    def verdict(*kept: int) -> dict[str, int]:
        history = Kept(CHANNEL, [(position(number), f"p.{number}") for number in kept], 100)
        return figures(judged(story, truths(scene.publications, [story, *scene.others], [history])[CHANNEL]))

    assert verdict(4, 5, 6) == {"lost": 2, "gaps": 1}
    assert verdict(3, 4, 5, 6) == {"lost": 2, "gaps": 1, "false_gaps": 1}


def test_a_gap_that_leads_back_is_found() -> None:
    assert figures(Scene().verdict(*handed(1, 2, 3), Gap(3.6, position(1), "age"), *handed(4, 5, 6))) == {
        "gaps": 1,
        "false_gaps": 1,
        "out_of_order": 1,
    }


def test_another_generation_without_a_gap_is_found() -> None:
    scene = Scene()
    new = handed(4, 5, 6, generation="g2")
    scene.others[0].entries[4:] = [Gap(3.6, position(0, "g2"), "generation"), *new]

    assert figures(scene.verdict(*handed(1, 2, 3), *new)) == {"untold": 1}
    told = scene.verdict(*handed(1, 2), Gap(3.6, position(0, "g2"), "generation"), *new)
    assert figures(told) == {"lost": 1, "gaps": 1}


def test_what_was_acknowledged_and_is_nowhere_needs_a_gap() -> None:
    scene = Scene()
    del scene.others[0].entries[3]

    assert figures(scene.verdict(*handed(1, 2, 4, 5, 6))) == {"lost": 1, "untold": 1}
    with_gap = scene.verdict(*handed(1, 2), Gap(3.6, position(2), "generation"), *handed(4, 5, 6))
    assert figures(with_gap) == {"lost": 1, "gaps": 1}
    too_early = scene.verdict(*handed(1, 2), Gap(2.6, position(2), "generation"), *handed(4, 5, 6))
    assert figures(too_early) == {"lost": 1, "gaps": 1, "false_gaps": 1, "untold": 1}


def test_what_was_never_acknowledged_may_be_nowhere() -> None:
    scene = Scene()
    del scene.others[0].entries[3]
    scene.publications[2].answered = None

    assert figures(scene.verdict(*handed(1, 2, 4, 5, 6))) == {}


def test_an_excluded_client_is_not_given_its_own_event() -> None:
    scene = Scene()
    scene.publications[2].excluded = "1.1"

    assert figures(scene.verdict(*handed(1, 2, 4, 5, 6), own=("1.1", "1.2"))) == {}
    assert figures(scene.verdict(*handed(1, 2, 3, 4, 5, 6), own=("1.1", "1.2"))) == {"echoed": 1}
    assert figures(scene.verdict(*handed(1, 2, 4, 5, 6), own=("1.3",))) == {"lost": 1, "untold": 1}


def test_an_ephemeral_event_may_be_missing_but_not_doubled() -> None:
    scene = Scene()
    scene.publications[2].is_ephemeral = True
    del scene.others[0].entries[3]
    live = Handed(3.5, "p.3")

    assert figures(scene.verdict(*handed(1, 2, 4, 5, 6))) == {}
    assert figures(scene.verdict(*handed(1, 2), live, *handed(4, 5, 6))) == {}
    assert figures(scene.verdict(*handed(1, 2), live, live, *handed(4, 5, 6))) == {"doubled": 1}
    scene.publications[2].attempts = 2
    assert figures(scene.verdict(*handed(1, 2), live, live, *handed(4, 5, 6))) == {"repeated": 1}


def test_a_new_page_has_what_it_was_rendered_from() -> None:
    reloaded = Rendered(3.7, position(3))

    assert figures(Scene().verdict(*handed(1, 2), reloaded, Resumed(3.8, position(3), 0), *handed(4, 5, 6))) == {}
    assert figures(Scene().verdict(*handed(1, 2), reloaded, *handed(3, 4, 5, 6))) == {"out_of_order": 1}
    assert figures(Scene().verdict(*handed(1, 2), reloaded, *handed(5, 6))) == {"lost": 1, "untold": 1}


def test_an_event_comes_again_in_a_new_generation_only_if_its_publisher_repeated_it() -> None:
    scene = Scene()
    again = [Gap(3.6, position(0, "g2"), "generation"), *handed(3, 4, 5, 6, generation="g2")]

    assert figures(scene.verdict(*handed(1, 2, 3), *again))["doubled"] == 1
    scene.publications[2].attempts = 2
    assert figures(scene.verdict(*handed(1, 2, 3), *again))["repeated"] == 1


def test_an_unpublished_event_is_a_fault() -> None:
    assert figures(Scene().verdict(*handed(1, 2, 3, 4, 5, 6), Handed(7, "p.77"))) == {"faults": 1}


def test_stock_clients_may_miss_events_only_while_they_are_away() -> None:
    scene = Scene()

    away = [*handed(1, 2), Left(2.6), Began(4.7), *handed(5, 6)]
    assert figures(scene.verdict(*away, kind="stock")) == {}
    assert figures(scene.verdict(*handed(1, 2, 4, 5, 6), kind="stock")) == {"lost": 1, "untold": 1}
    assert figures(scene.verdict(*away[:-1], kind="stock")) == {"lost": 1, "untold": 1}
    assert figures(scene.verdict(*handed(1, 2, 2, 3, 4, 5, 6), kind="stock")) == {"doubled": 1}


def test_a_cache_channel_gives_its_last_event_to_each_new_subscription_of_a_stock_client() -> None:
    channel = "cache-board"
    publications = [
        Publication(channel, event, number, answered=number + 0.1) for number, event in enumerate(EVENTS, 1)
    ]
    entries = [Began(0), *handed(1, 2, 3), Left(3.6), Began(3.7), *handed(3, 4, 5, 6)]

    def verdict(*entries: Entry) -> dict[str, int]:
        story = Story("client", channel, "stock", [*entries])
        return figures(judged(story, truths(publications, [story], ())[channel]))

    assert verdict(*entries) == {}
    assert verdict(*entries, *handed(6)) == {"doubled": 1}


def without_positions(*numbers: int) -> list[Entry]:
    return [Handed(number + 0.5, f"p.{number}") for number in numbers]


def test_clients_that_hide_positions_are_judged_by_what_others_saw() -> None:
    scene = Scene()

    def verdict(*entries: Entry) -> dict[str, int]:
        story = Story("client", CHANNEL, "resuming", [Began(0.5), *entries], hides_positions=True)
        return figures(judged(story, truths(scene.publications, [story, *scene.others], ())[CHANNEL]))

    assert verdict(*without_positions(1, 2, 3, 4, 5, 6)) == {}
    assert verdict(*without_positions(2, 3, 4, 5, 6)) == {"lost": 1, "untold": 1}
    assert verdict(*without_positions(1, 2, 4, 5, 6)) == {"lost": 1, "untold": 1}
    assert verdict(*without_positions(1, 2), Gap(4.7, None, "age"), *without_positions(5, 6)) == {"lost": 2, "gaps": 1}
    assert verdict(*without_positions(1, 2), Gap(2.7, None, "age"), *without_positions(3, 4, 5, 6)) == {
        "gaps": 1,
        "false_gaps": 1,
    }
    assert verdict(*without_positions(1, 2), Gap(4.7, None, "age"), *without_positions(6)) == {
        "lost": 3,
        "gaps": 1,
        "untold": 1,
    }
    assert verdict(*without_positions(1, 2, 2, 3, 4, 5, 6)) == {"doubled": 1}


def test_a_history_with_all_is_right() -> None:
    assert figures(Scene().history(1, 2, 3, 4, 5, 6)) == {}


def test_a_history_that_is_cut_short_by_its_bound_is_right() -> None:
    assert figures(Scene().history(4, 5, 6, most=3)) == {}
    assert figures(Scene().history(4, 5, 6, most=4)) == {"faults": 1}


def test_a_history_that_lacks_an_event_is_found() -> None:
    assert figures(Scene().history(1, 2, 4, 5, 6)) == {"faults": 1}
    assert figures(Scene().history(1, 2, 3, 4, 5)) == {"faults": 1}
    assert figures(Scene().history()) == {"faults": 1}


def test_an_acknowledged_event_that_nobody_has_is_found() -> None:
    assert figures(Scene().history(1, 2, 3, 4, 5, stories=False)) == {"faults": 1}
    assert figures(Scene().history(1, 2, 3, 4, 5, stories=False, may_be_lost=True)) == {}


def test_what_expires_may_have_been_seen_by_nobody() -> None:
    assert figures(Scene().history(1, 2, 3, 4, 5, stories=False, most=0)) == {}


def test_a_position_that_means_two_events_is_found() -> None:
    scene = Scene()
    scene.others[0].entries[2] = Handed(2.5, "p.5", position(1))

    assert figures(scene.history(1, 2, 3, 4, 5, 6))["faults"] >= 1


def test_an_event_that_is_kept_twice_is_found() -> None:
    scene = Scene()
    scene.others[0].entries.append(Handed(7.5, "p.6", position(7)))

    assert figures(scene.history(1, 2, 3, 4, 5, 6))["faults"] >= 1


def test_an_ephemeral_event_in_the_history_is_found() -> None:
    scene = Scene()
    scene.publications[2].is_ephemeral = True

    assert figures(scene.history(1, 2, 3, 4, 5, 6)) == {"faults": 1}


def test_a_resumption_of_a_client_without_a_position_is_a_fault() -> None:
    scene = Scene()
    entries: list[Entry] = [Began(0), Resumed(0.5, position(0), 6), *handed(1, 2, 3, 4, 5, 6)]
    story = Story("client", CHANNEL, "resuming", entries)

    assert figures(judged(story, truths(scene.publications, [story, *scene.others], ())[CHANNEL])) == {"faults": 1}


def test_disorder_of_one_publisher_is_found_without_positions() -> None:
    second, first = (Handed(2.5, f"p.{number}") for number in (2, 1))

    assert figures(Scene().verdict(second, first, *handed(3, 4, 5, 6))) == {"out_of_order": 1}


def test_an_event_for_who_is_not_subscribed_is_a_fault() -> None:
    assert figures(Scene().verdict(*handed(1, 2, 3), Left(3.2), *handed(4)))["faults"] == 1


def test_what_is_missing_before_another_generation_without_a_gap_is_lost() -> None:
    scene = Scene()
    new = handed(4, 5, 6, generation="g2")
    scene.others[0].entries[4:] = [Gap(3.6, position(0, "g2"), "generation"), *new]

    assert figures(scene.verdict(*handed(1, 2), *new)) == {"lost": 1, "untold": 1}
    assert figures(scene.verdict(*handed(1, 2), *new, kind="stock")) == {"missed": 1}


def test_what_stock_clients_miss_of_a_lost_history_is_counted() -> None:
    scene = Scene()
    new = handed(4, 5, 6, generation="g2")
    scene.others[0].entries[4:] = [Gap(3.6, position(0, "g2"), "generation"), *new]

    assert figures(scene.verdict(*handed(1, 2, 3), *new[:1], *new[2:], kind="stock")) == {"missed": 1}


def test_a_history_that_goes_back_is_found() -> None:
    assert any("goes back" in note for note in Scene().history(1, 3, 2, 4, 5, 6).notes["faults"])


def test_another_generation_where_nothing_was_lost_is_found() -> None:
    scene = Scene()
    scene.others[0].entries.append(Gap(7, position(0, "g2"), "generation"))

    assert any("2 generations" in note for note in scene.history(1, 2, 3, 4, 5, 6).notes["faults"])


def test_two_positions_of_an_event_are_named() -> None:
    scene = Scene()
    scene.others[0].entries.append(Handed(7.5, "p.6", position(7)))

    assert any("p.6 has 2 positions" in note for note in scene.history(1, 2, 3, 4, 5, 6).notes["faults"])
