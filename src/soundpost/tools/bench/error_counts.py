"""Errors of a run, counted by kind, with one example of each."""

from __future__ import annotations

from typing import Final

import msgspec

from soundpost.wire import codes
from soundpost.wire.printable import one_line

_MAX_KINDS: Final = 50
_MAX_KIND: Final = 100
_MAX_EXAMPLE: Final = 200
_NAMES: Final = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1006: "no close frame",
    1007: "invalid payload",
    1008: "policy violation",
    1009: "too big",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
} | {
    value: name.lower().replace("_", " ")
    for name, value in vars(codes).items()
    if isinstance(value, int) and name != "INVALID_MESSAGE"
}


class ErrorCount(msgspec.Struct):
    """One kind of error, the number of its errors, and the text of the first."""

    kind: str
    count: int
    example: str


class ErrorCounts(msgspec.Struct):
    """All kinds of error so far."""

    by_kind: dict[str, ErrorCount] = {}

    def add(self, kind: str, example: str = "", count: int = 1) -> None:
        """Count errors. Kinds beyond fifty are counted together: a server may send any text."""
        kind = one_line(kind, _MAX_KIND)
        if kind not in self.by_kind and len(self.by_kind) >= _MAX_KINDS:
            kind = "other"
        known = self.by_kind.get(kind)
        if known is None:
            self.by_kind[kind] = ErrorCount(kind, count, one_line(example, _MAX_EXAMPLE))
        else:
            known.count += count

    def merge(self, other: ErrorCounts) -> None:
        """Add the counts of another process."""
        for fault in other.by_kind.values():
            self.add(fault.kind, fault.example, fault.count)

    def as_list(self) -> list[ErrorCount]:
        """Return the counts, the most frequent first."""
        return sorted(self.by_kind.values(), key=lambda fault: (-fault.count, fault.kind))


def code_in_words(code: int) -> str:
    """Return a close or error code with its name: ``4100 (over capacity)``."""
    return f"{code} ({_NAMES[code]})" if code in _NAMES else str(code)
