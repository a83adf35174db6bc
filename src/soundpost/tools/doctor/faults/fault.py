"""Entry of the table of faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from soundpost.documentation import page


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault with a stable id, a message, the usual reason (``why``) and the way out (``fix``).

    ``message``, ``fix`` and ``other_fixes`` are templates for the facts of a finding. A ``warning`` does not end a
    check.
    """

    code: str
    message: str
    why: str
    fix: str
    severity: Literal["fault", "warning"] = "fault"
    other_fixes: Mapping[str, str] = field(default_factory=dict)
    """Ways out in other situations than the usual one, by the situation in words."""

    @property
    def anchor(self) -> str:
        """The id as an anchor of the documentation: the anchor of a heading has no dots."""
        return self.code.replace(".", "")

    @property
    def docs(self) -> str:
        """The address of the fault in the documentation."""
        return page("doctor", self.anchor)
