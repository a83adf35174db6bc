"""The tables in docs/doctor.md, made of the faults and of how the tests set them up.

``python tests/support/doctor_page.py`` writes them anew.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
PAGE: Final = TESTS.parent / "docs" / "doctor.md"
BEGIN: Final = "<!-- faults: made by tests/support/doctor_page.py -->"
END: Final = "<!-- end of faults -->"
IN_UNIT_TESTS: Final = {
    "dns-failed": "a name server that does not answer (unit test)",
    "tcp-unreachable": "a network without a route (unit test)",
    "address-unreachable": "a name with two addresses, the first closed (unit test)",
    "configuration-invalid": "a `soundpost.toml` with an unknown key",
    "conntrack-too-low": "a kernel's numbers (unit test)",
    "port-range-too-low": "a kernel's numbers (unit test)",
    "somaxconn-too-low": "a kernel's numbers (unit test)",
    "env-unreadable": "`--env` with a file that is not there",
}
"""What cannot be set up everywhere, or is no scene."""


def set_ups() -> dict[str, list[str]]:
    """For each id how the tests set it up."""
    for folder in ("integration", "unit"):
        if str(TESTS / folder) not in sys.path:
            sys.path.append(str(TESTS / folder))
    from support.doctor_env_cases import CASES
    from support.doctor_stage import SCENES

    for module in ("connection", "proxy", "server", "machine"):
        import_module(f"test_doctor_{module}")  # which registers its scenes
    found: dict[str, list[str]] = {}
    for code, words in [(each.code, each.set_up) for each in SCENES] + [(each.code, each.set_up) for each in CASES]:
        if words not in found.setdefault(code, []):
            found[code].append(words)
    for code, words in IN_UNIT_TESTS.items():
        found.setdefault(code, []).append(words)
    return found


def tables() -> str:
    """All faults, in Markdown."""
    from soundpost.tools.doctor.faults import SECTIONS

    known = set_ups()
    lines: list[str] = []
    for heading, faults in SECTIONS.items():
        lines += [f"### {heading}", "", "| set up in the tests | id | what is said | why, and what to do |"]
        lines.append("|---|---|---|---|")
        for fault in faults:
            code = f"`{fault.code}`" + (" (warning)" if fault.severity == "warning" else "")
            cells = ["; ".join(known[fault.code]), code, _shown(fault.message), f"{fault.why} **{_shown(fault.fix)}**"]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _shown(template: str) -> str:
    """Facts as words in italics."""
    return re.sub(r"\{([a-z_]+)(:[^}]*)?\}", lambda match: f"*{match[1].replace('_', ' ')}*", template)


def written() -> str:
    """The page with its tables as they should be."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{tables()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(written())
