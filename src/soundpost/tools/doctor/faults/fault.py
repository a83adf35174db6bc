"""Entry of the table of faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault with a stable id, a message, the usual reason (``why``) and the way out (``fix``).

    ``message`` and ``fix`` are templates for the facts of a finding. A ``warning`` does not end a check.
    """

    code: str
    message: str
    why: str
    fix: str
    severity: Literal["fault", "warning"] = "fault"
