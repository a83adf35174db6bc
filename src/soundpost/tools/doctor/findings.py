"""Found fault: an entry of the table, filled with facts."""

from __future__ import annotations

import re
from typing import Final

from soundpost.tools.doctor.faults import FAULTS, Fault
from soundpost.wire import printable

_FACT: Final = re.compile(r"\{([a-z_]+)(:[^}]*)?\}")
_MAX_LENGTH: Final = 200


class FaultFound(Exception):  # noqa: N818 - reads as the event it names
    """Fault that was found. ``facts`` fill the templates of its entry; a missing fact raises KeyError.

    ``situation`` chooses one of the entry's ``other_fixes``; empty for the usual way out.
    """

    def __init__(self, code: str, situation: str = "", /, **facts: object) -> None:
        self.fault: Fault = FAULTS[code]
        self.code = code
        self.facts = facts
        self.message = _filled(self.fault.message, facts)
        self.fix = _filled(self.fault.other_fixes[situation] if situation else self.fault.fix, facts)
        super().__init__(self.message)


def facts_of(template: str) -> set[str]:
    """Return the names of the facts in a template."""
    return {match[1] for match in _FACT.finditer(template)}


def one_line(text: str | bytes) -> str:
    """Return foreign text fit for one line of a terminal, 200 characters at most."""
    return printable.one_line(text, _MAX_LENGTH)


def _filled(template: str, facts: dict[str, object]) -> str:
    return _FACT.sub(lambda match: format(facts[match[1]], (match[2] or ":")[1:]), template)
