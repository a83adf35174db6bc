"""The figures of what was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

MOST_NOTES: Final = 12
"""Sentences that are kept of a verdict."""


class Verdict(msgspec.Struct):
    """Figures of one story, or of many added up. ``notes`` tell of what is wrong, in words."""

    deliveries: int = 0
    """Events that handlers were given."""
    lost: int = 0
    """Events that handlers were not given, told or not."""
    doubled: int = 0
    repeated: int = 0
    """Events that came again in a new generation, as their publisher sent them again after the old one was lost."""
    out_of_order: int = 0
    gaps: int = 0
    untold: int = 0
    """Places where something is missing and no gap was told."""
    false_gaps: int = 0
    echoed: int = 0
    missed: int = 0
    """Events that clients without resumption missed when a history was lost."""
    faults: int = 0
    """Whatever else is wrong."""
    notes: list[str] = []
    remarks: list[str] = []
    """Sentences about gaps where nothing is missing, which may be right after a loss."""

    @property
    def right(self) -> bool:
        """Whether nothing came twice, in a wrong order or to a wrong client, and nothing is missing in silence."""
        return not (self.doubled or self.out_of_order or self.untold or self.echoed or self.faults)

    def add(self, other: Verdict) -> None:
        """Add figures."""
        for name in self.__struct_fields__:
            both = getattr(self, name) + getattr(other, name)
            setattr(self, name, both[:MOST_NOTES] if isinstance(both, list) else both)

    def note(self, sentence: str) -> None:
        """Keep a sentence about what is wrong."""
        if len(self.notes) < MOST_NOTES:
            self.notes.append(sentence)

    def remark(self, sentence: str) -> None:
        """Keep a sentence about what may be wrong."""
        if len(self.remarks) < MOST_NOTES:
            self.remarks.append(sentence)


def add_up(verdicts: Iterable[Verdict]) -> Verdict:
    """The sum."""
    total = Verdict()
    for each in verdicts:
        total.add(each)
    return total
