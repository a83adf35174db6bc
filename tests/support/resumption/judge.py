"""Whether a client was given all it should be, once, in order, or was told of a gap where something is missing.

What is judged: a client's list is a part of the authority's order (lost, out of order). Nothing comes twice (doubled).
What is missing lies before the position of a gap that was told (untold), and a gap is told only where something is
missing (false gaps). An event does not come back to the client that is excluded from it (echoed).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from soundpost.wire.channel_names import kind_of
from support.resumption.order import Order, Place
from support.resumption.stories import Began, Entry, Gap, Handed, Left, Publication, Rendered, Resumed, Story
from support.resumption.verdict import Verdict


class Truth:
    """What is known of a channel: what was published, and in which order it was kept."""

    def __init__(self, publications: Iterable[Publication], order: Order, kept: Iterable[str] = ()) -> None:
        """``kept``: the events of the history in the end."""
        self.order = order
        self.kept = frozenset(kept)
        self.published = {each.event: each for each in publications}
        due = (each for each in self.published.values() if each.answered is not None and not each.is_ephemeral)
        self.vanished = sorted((each for each in due if each.event not in order.slots_of), key=lambda each: each.sent)
        """Acknowledged, to be kept, and never seen at any position."""
        self._times = sorted(
            (each.sent, slot) for each in self.published.values() for slot in order.slots_of.get(each.event, ())
        )

    def must_be_kept(self, events: Iterable[str]) -> bool:
        """Whether nothing can have kept a host from having these events, late at worst: no history was lost, and they
        are kept to the end, if it is known what is."""
        return self.order.generations < 2 and (not self.kept or self.kept.issuperset(events))

    def first_sent_after(self, at: float) -> int:
        """The first slot of what was sent after a time."""
        return min((slot for sent, slot in self._times if sent > at), default=len(self.order.events))


def judged(story: Story, truth: Truth, pages: Sequence[Iterable[str]] = ((),)) -> Verdict:
    """The verdict on a story. ``pages``: the socket ids that each page of the client had."""
    return _Reading(story, truth, [frozenset(page) for page in pages]).verdict()


class _Reading:
    """A story while it is read. ``_next`` is the slot that is due, None while nothing is."""

    def __init__(self, story: Story, truth: Truth, pages: list[frozenset[str]]) -> None:
        self._story = story
        self._truth = truth
        self._order = truth.order
        self._own = pages[0]
        self._later_pages = pages[1:]
        self._is_stock = story.kind == "stock"
        self._next: int | None = None
        self._is_fresh = False
        """Nothing has come since a beginning without a position: earlier events than the due one may."""
        self._generation: int | None = None
        self._known: dict[str, int | None] = {}
        """Events that were handed on, with the generation in which they were."""
        self._numbers: dict[tuple[str, int, bool], int] = {}
        self._found = Verdict()
        self._who = f"{story.client} on {story.channel}"

    def verdict(self) -> Verdict:
        for index, entry in enumerate(self._story.entries):
            if isinstance(entry, Handed):
                self._handed(entry)
            elif isinstance(entry, Gap):
                self._gap(entry, self._story.entries[index + 1 :])
            elif isinstance(entry, Resumed):
                self._resumed(entry)
            elif isinstance(entry, Left):
                self._next = None
            else:
                self._began(entry)
        if self._next is not None:
            self._untold(self._missing(self._next, len(self._order.events)), "at the end")
        if not self._is_stock:
            self._account_for_vanished()
        for fault in self._story.faults:
            self._fault(fault)
        return self._found

    def _began(self, entry: Began | Rendered) -> None:
        if isinstance(entry, Rendered):
            self._known.clear()
            self._numbers.clear()
            self._own = self._later_pages.pop(0) if self._later_pages else frozenset()
        self._is_fresh = entry.position is None
        if entry.position is None:
            self._next, self._generation = self._truth.first_sent_after(entry.at), None
        else:
            place = self._order.place(entry.position)
            self._next, self._generation = self._order.after(place), place.generation

    def _resumed(self, entry: Resumed) -> None:
        if entry.position is None:
            return
        place = self._order.place(entry.position)
        if self._generation is None:
            self._fault(f"resumed at {entry.position}, though it had no position")
        elif place.generation != self._generation:
            self._silent_change(self._order.after(place), f"at the resumption from {entry.position}")
            self._generation = place.generation

    def _gap(self, entry: Gap, rest: Sequence[Entry]) -> None:
        self._found.gaps += 1
        if self._next is None:
            return
        generation, end = self._end_of(entry, rest)
        missing = self._missing(self._next, end)
        self._found.lost += len(missing)
        vanished = any(each.sent <= entry.at and self._is_due(each) for each in self._truth.vanished)
        is_kept = generation == self._generation and entry.reason != "limited" and self._truth.kept.issuperset(missing)
        if (not missing or is_kept) and not vanished:
            what = f"all that is missing is kept: {', '.join(missing[:5])}" if missing else "nothing is missing"
            figure = "undecided" if entry.reason == "unknown" and entry.position is not None else "false_gaps"
            self._find(figure, f"a gap ({entry.reason}) at {entry.position}, and {what}")
        if end < self._next:
            self._find("out_of_order", f"a gap ({entry.reason}) leads back to {entry.position}")
        self._next, self._generation = end, generation

    def _end_of(self, gap: Gap, rest: Sequence[Entry]) -> tuple[int | None, int]:
        """The generation after a gap, if it is known, and the first slot that is due again."""
        assert self._next is not None
        if gap.position is not None:
            place = self._order.place(gap.position)
            return place.generation, self._order.after(place)
        end = self._truth.first_sent_after(gap.at)
        for entry in rest:
            if isinstance(entry, Handed) and (slots := self._order.slots_of.get(entry.event)):
                end = min(end, next((slot for slot in slots if slot >= self._next), end))
                break
        self._is_fresh = True
        return None, max(end, self._next)

    def _handed(self, entry: Handed) -> None:
        self._found.deliveries += 1
        publication = self._truth.published.get(entry.event)
        if publication is None:
            self._fault(f"{entry.event} was never published there")
            return
        if publication.excluded in self._own:
            self._find("echoed", f"{entry.event} came back to {publication.excluded}")
        place = self._place_of(entry)
        if self._is_again(entry, publication, place):
            return
        self._known[entry.event] = place and place.generation
        self._follow(publication)
        if place is not None:
            self._advance(entry, place)

    def _place_of(self, entry: Handed) -> Place | None:
        if entry.position is not None:
            return self._order.place(entry.position)
        if not self._story.hides_positions:
            return None
        slots = self._order.slots_of.get(entry.event, [])
        due = [slot for slot in slots if slot >= (self._next or 0)]
        return self._order.places[(due or slots)[0]] if slots else None

    def _is_again(self, entry: Handed, publication: Publication, place: Place | None) -> bool:
        """Whether it was handed on before. That is right only if its publisher repeated it, and nothing can know it any
        more: in a new generation, or if it was not kept."""
        if entry.event not in self._known:
            return False
        if self._is_stock and self._is_fresh and kind_of(self._story.channel).is_cache:
            return True  # a cache channel gives its last event to each new subscription
        before = self._known[entry.event]
        is_unknown = place is not None and before not in (None, place.generation)
        if publication.attempts > 1 and (is_unknown or publication.is_ephemeral):
            self._found.repeated += 1
            return False
        self._find("doubled", f"{entry.event} came again, at {entry.position}")
        return True

    def _follow(self, publication: Publication) -> None:
        """A publisher's kept events keep its order, as long as one host takes them and none is sent again; so do those
        that are not kept, which may overtake kept ones that a client missed."""
        if publication.attempts > 1 or publication.answered is None or publication.host < 0:
            return
        key = publication.publisher, publication.host, publication.is_ephemeral
        last = self._numbers.setdefault(key, publication.number)
        if publication.number < last:
            self._find("out_of_order", f"{publication.event} came after number {last}")
        else:
            self._numbers[key] = publication.number

    def _advance(self, entry: Handed, place: Place) -> None:
        slot = self._order.slots[place]
        where = f"before {entry.event} at {entry.position}"
        if self._next is None:
            self._fault(f"{entry.event} came while it was not subscribed")
        elif self._generation not in (None, place.generation):
            self._silent_change(slot, where)
        elif self._is_fresh:
            self._untold(self._missing(self._next, slot), where)
        elif slot < self._next:
            self._find("out_of_order", f"{entry.event} at {entry.position} is behind what was due")
            return
        elif slot > self._next:
            self._untold(self._missing(self._next, slot), where)
        self._is_fresh = False
        self._next, self._generation = slot + 1, place.generation

    def _silent_change(self, end: int, where: str) -> None:
        """Another generation without a gap. Clients without resumption are not told of it."""
        missing = self._missing(self._next or 0, end)
        if self._is_stock:
            self._found.missed += len(missing)
        else:
            self._found.lost += len(missing)
            self._find("untold", f"another generation without a gap, {where}, {len(missing)} missing")

    def _missing(self, first: int, end: int) -> list[str]:
        """Events of these slots that the client should have and has not."""
        return [event for event in self._order.events[first:end] if self._should_have(event)]

    def _should_have(self, event: str) -> bool:
        if event in self._known:
            return False
        publication = self._truth.published.get(event)
        return publication is None or not (publication.is_ephemeral or publication.excluded in self._own)

    def _untold(self, missing: list[str], where: str) -> None:
        if self._is_stock and not self._truth.must_be_kept(missing):
            self._found.missed += len(missing)
        elif missing:
            self._found.lost += len(missing)
            self._find("untold", f"{len(missing)} missing {where}: {', '.join(missing[:5])}")

    def _account_for_vanished(self) -> None:
        """What was acknowledged and is nowhere: whoever was subscribed must have been told of a gap, after the event
        was sent and before the same publisher's next one on the same host came."""
        silent = []
        for publication in self._truth.vanished:
            if self._is_due(publication) and self._was_there(publication):
                self._found.lost += 1
                if not self._was_told_of(publication):
                    silent.append(publication.event)
        if silent:
            self._find("untold", f"{len(silent)} acknowledged, kept nowhere, and no gap: {', '.join(silent[:5])}")

    def _is_due(self, publication: Publication) -> bool:
        return publication.event not in self._known and publication.excluded not in self._own

    def _was_there(self, publication: Publication) -> bool:
        """Whether it was subscribed when the event was sent, and never left after."""
        there = False
        for entry in self._story.entries:
            if isinstance(entry, Left):
                there = False
            elif isinstance(entry, Began | Rendered) and entry.at < publication.sent:
                there = True
        return there

    def _was_told_of(self, publication: Publication) -> bool:
        for entry in self._story.entries:
            if entry.at >= publication.sent:
                if isinstance(entry, Gap | Rendered):
                    return True
                if isinstance(entry, Handed) and entry.position is not None and self._follows(entry, publication):
                    return False
        return False

    def _follows(self, entry: Handed, publication: Publication) -> bool:
        other = self._truth.published.get(entry.event)
        return (
            other is not None
            and (other.publisher, other.host, other.attempts) == (publication.publisher, publication.host, 1)
            and other.number > publication.number
        )

    def _fault(self, sentence: str) -> None:
        self._find("faults", sentence)

    def _find(self, figure: str, sentence: str) -> None:
        self._found.find(figure, f"{self._who}: {sentence}")
