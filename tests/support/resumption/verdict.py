"""The figures of what was found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

MAY_BE_RIGHT: Final = ("false_gaps", "undecided")
"""Figures that are wrong only if the authority of the histories was there all the time."""
MAX_NOTES: Final = 4
"""Sentences of each kind that are kept."""


class Verdict(msgspec.Struct):
    """Figures of one story, or of many added up."""

    deliveries: int = 0
    """Events that handlers were given."""
    lost: int = 0
    """Events that handlers were not given, told or not."""
    doubled: int = 0
    repeated: int = 0
    """Events that came again as their publisher sent them again and nothing knew them: the history that they were in is
    lost, or they were not to be kept."""
    out_of_order: int = 0
    gaps: int = 0
    untold: int = 0
    """Places where something is missing and no gap was told."""
    false_gaps: int = 0
    undecided: int = 0
    """False gaps with the reason ``unknown``: the server could not ask its authority. Right only while that is away."""
    echoed: int = 0
    missed: int = 0
    """Events that clients without resumption missed when a history was lost."""
    faults: int = 0
    """Whatever else is wrong."""
    notes: dict[str, list[str]] = {}
    """By the name of a figure: sentences that tell what was found."""

    @property
    def right(self) -> bool:
        """Whether nothing came twice, in a wrong order or to a wrong client, and nothing is missing in silence."""
        return not (self.doubled or self.out_of_order or self.untold or self.echoed or self.faults)

    def add(self, other: Verdict) -> None:
        """Add figures."""
        for name in self.__struct_fields__:
            if name != "notes":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        for figure, sentences in other.notes.items():
            for sentence in sentences:
                self._note(figure, sentence)

    def find(self, figure: str, sentence: str) -> None:
        """Count one more of a figure, and keep a sentence that tells of it."""
        setattr(self, figure, getattr(self, figure) + 1)
        self._note(figure, sentence)

    def wrong_notes(self) -> list[str]:
        """The sentences, but for those about false gaps, which may be right after a loss."""
        return [sentence for figure, found in self.notes.items() if figure not in MAY_BE_RIGHT for sentence in found]

    def _note(self, figure: str, sentence: str) -> None:
        found = self.notes.setdefault(figure, [])
        if len(found) < MAX_NOTES:
            found.append(sentence)


def add_up(verdicts: Iterable[Verdict]) -> Verdict:
    """The sum."""
    total = Verdict()
    for each in verdicts:
        total.add(each)
    return total
