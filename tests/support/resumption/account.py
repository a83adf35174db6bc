"""The account of a trial: what was told, judged, and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from support.resumption.history import judged_history, judged_sizes, truths
from support.resumption.judge import judged
from support.resumption.members import judged_members
from support.resumption.stages import ROOM
from support.resumption.stories import Kept, Publication, Told
from support.resumption.streams import Entry, judged_chain
from support.resumption.verdict import Verdict


class Account(msgspec.Struct):
    """What came of a trial."""

    events: int
    """Acknowledged ones, one for each channel that they were published on."""
    total: Verdict
    generations: int
    unanswered: int
    """Events whose publishers gave them up."""
    given_up: int
    """Events that the library gave up, after it tried twice."""
    sent_again: int
    away: list[float]
    ends: dict[str, int]
    refusals: dict[str, int]
    behind: list[str]
    """Clients and channels that did not reach the last event in time."""
    dropped: int
    complaints: list[str]
    histories: int
    """How many channels' histories were compared."""
    waits: list[float]
    """Seconds that a client waited for answers to its pings."""
    longest_turn: float
    """Seconds of CPU time of the longest turn of a server's loop."""
    slowest_command: tuple[float, str]
    """Seconds of the slowest command in Redis, and how it began."""
    streams: int
    """How many channels' streams in Redis were checked."""
    notices: int
    """How often raw clients were told of members that came or went."""

    def wrong(self, *, may_be_lost: bool = False, may_be_undecided: bool = False) -> list[str]:
        """What must not be, in words; the arguments are those of :class:`support.resumption.faults.Fault`."""
        total = self.total
        found = {
            "doubled": total.doubled,
            "out of order": total.out_of_order,
            "gaps not told": total.untold,
            "came back to their sender": total.echoed,
            "other faults": total.faults,
            "stories that did not reach the end": len(self.behind),
            "complaints of servers": len(self.complaints),
        }
        if not may_be_lost:
            found |= {"false gaps": total.false_gaps, "events never answered": self.unanswered}
        if not (may_be_lost or may_be_undecided):
            found["false gaps for want of an answer"] = total.undecided
        return [f"{name}: {count:,}" for name, count in found.items() if count]


class Evidence(msgspec.Struct):
    """What a trial has in the end."""

    publications: list[Publication]
    """Of publishers that send again until there is an answer. Those of applications are in ``tales``."""
    histories: list[Kept]
    tales: list[Told]
    present: dict[str, list[str]]
    """The members of the presence channel, as each who knows them has them."""
    streams: dict[str, list[Entry]]
    bound: int
    """Bytes that all histories may have."""


def judge_all(evidence: Evidence, *, may_be_lost: bool) -> tuple[Verdict, int]:
    """The verdict on all stories, histories, lists of members and streams, and the most generations of a channel."""
    tales = evidence.tales
    publications = [*evidence.publications, *(each for told in tales for each in told.publications)]
    stories = [story for told in tales for story in told.stories]
    known = truths(publications, stories, evidence.histories)
    total = Verdict()
    for told in tales:
        for story in told.stories:
            total.add(judged(story, known[story.channel], told.pages.get(story.client, [[]])))
    for kept in evidence.histories:
        total.add(judged_history(kept, known[kept.channel], may_be_lost=may_be_lost))
    total.add(judged_sizes(evidence.histories, evidence.bound))
    members = {story.client for story in stories if story.channel == ROOM}
    total.add(judged_members(members, evidence.present))
    for name, entries in evidence.streams.items():
        total.add(judged_chain(name, entries))
    return total, max(truth.order.generations for truth in known.values())


def ends_of(tales: Sequence[Told]) -> dict[str, int]:
    """How connections ended, and how often."""
    ends: Counter[str] = Counter()
    for told in tales:
        ends.update(told.ends)
    return dict(ends)
