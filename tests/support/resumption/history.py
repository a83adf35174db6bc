"""Whether the history that the HTTP API gives is what was acknowledged, in the order that clients saw."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from support.resumption.judge import Truth
from support.resumption.order import Order
from support.resumption.stories import Began, Gap, Handed, Kept, Publication, Rendered, Resumed, Story
from support.resumption.verdict import Verdict


def truths(
    publications: Iterable[Publication], stories: Iterable[Story], histories: Iterable[Kept]
) -> dict[str, Truth]:
    """What is known of each channel that has a story or a history."""
    seen: dict[str, list[tuple[float, str, str]]] = {}
    for story in stories:
        found = seen.setdefault(story.channel, [])
        for entry in story.entries:
            if isinstance(entry, Handed):
                if entry.position is not None:
                    found.append((entry.at, entry.position, entry.event))
            elif isinstance(entry, Began | Gap | Rendered | Resumed) and entry.position is not None:
                found.append((entry.at, entry.position, ""))
    in_history: dict[str, list[str]] = {}
    for kept in histories:
        in_history[kept.channel] = [event for _, event in kept.events]
        found = seen.setdefault(kept.channel, [])
        found += [(float("inf"), position, event) for position, event in kept.events]
        if kept.floor:
            found.append((float("inf"), kept.floor, ""))
    by_channel: dict[str, list[Publication]] = {channel: [] for channel in seen}
    for publication in publications:
        if publication.channel in by_channel:
            by_channel[publication.channel].append(publication)
    return {
        channel: Truth(by_channel[channel], Order(channel, found), in_history.get(channel, ()))
        for channel, found in seen.items()
    }


def judged_history(kept: Kept, truth: Truth, *, may_be_lost: bool) -> Verdict:
    """The verdict on a history. ``may_be_lost``: what broke may have taken events that were acknowledged with it."""
    verdict, order = Verdict(), truth.order
    for fault in order.faults:
        _fault(verdict, fault)
    places = [order.place(position) for position, _ in kept.events]
    for (before, after), (position, _) in zip(pairwise(places), kept.events[1:], strict=True):
        if after <= before:
            _fault(verdict, f"the history of {kept.channel} goes back to {position}")
    _compare(verdict, kept, truth)
    if not may_be_lost:
        vanished = [each.event for each in truth.vanished if each.sent > kept.deleted_at]
        if vanished and kept.most:
            _fault(verdict, f"{kept.channel}: acknowledged and kept nowhere: {_some(vanished)}")
        if order.generations > 1:
            _fault(verdict, f"{kept.channel} has had {order.generations} generations")
    ephemeral = {each.event for each in truth.published.values() if each.is_ephemeral}
    if found := [event for _, event in kept.events if event in ephemeral]:
        _fault(verdict, f"the history of {kept.channel} has what is not to be kept: {_some(found)}")
    return verdict


def _compare(verdict: Verdict, kept: Kept, truth: Truth) -> None:
    """The history must be the end of the order, as far back as it may reach."""
    order = truth.order
    floor = order.after(order.place(kept.floor)) if kept.floor else 0
    if not kept.events:
        is_due = floor < len(order.events) and order.places[-1].generation == order.generations - 1
        if kept.most and is_due:
            _fault(verdict, f"the history of {kept.channel} is empty, but {order.events[-1]} had a position in it")
        return
    first = order.slots[order.place(kept.events[0][0])]
    if [event for _, event in kept.events] != order.events[first:]:
        absent = set(order.events[first:]) - {event for _, event in kept.events}
        _fault(verdict, f"the history of {kept.channel} lacks what clients were given: {_some(sorted(absent))}")
    if first < floor:
        _fault(verdict, f"the history of {kept.channel} has what was deleted: {_some(order.events[first:floor])}")
    begins_late = first > floor and order.places[first - 1].generation == order.places[first].generation
    if begins_late and len(kept.events) < kept.most:
        _fault(verdict, f"the history of {kept.channel} keeps {len(kept.events)} of {kept.most} events")


def _fault(verdict: Verdict, sentence: str) -> None:
    verdict.find("faults", sentence)


def _some(events: Iterable[str]) -> str:
    found = list(events)
    return f"{len(found)} ({', '.join(found[:5])})"


def judged_sizes(histories: Iterable[Kept], bound: int) -> Verdict:
    """The verdict on the memory of all histories of an app: their bytes are within the bound, but for one event."""
    verdict = Verdict()
    sizes = [(kept.size, len(kept.events), kept.channel) for kept in histories]
    total = sum(size for size, _, _ in sizes)
    largest = max((size / count for size, count, _ in sizes if count), default=0)
    if total > bound + largest:
        _fault(verdict, f"histories of {total:,} bytes, {bound:,} are allowed (max_history_size)")
    return verdict
