"""What a fault is: a stable id, what is said, why it happens, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the table. ``says`` and ``fix`` are templates, filled with the facts of a finding.

    A ``warning`` is no reason to stop: what was looked at works, or may be meant.
    """

    code: str
    message: str
    why: str
    fix: str
    severity: Literal["fault", "warning"] = "fault"
