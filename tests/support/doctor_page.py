"""The list of faults in docs/doctor.md, made of the faults and of how the tests set them up.

``python tests/support/doctor_page.py`` writes it anew.
"""

from __future__ import annotations

import re
import sys
import textwrap
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
    "server-hangs": "a server that SIGSTOP has stopped",
    "worker-hangs": "a server with two workers, of which SIGSTOP has stopped one",
    "configuration-not-loaded": "a `soundpost.toml` whose path was changed after the start",
    "server-has-other-apps": "a `soundpost.toml` of another folder, for the port of a server that runs",
    "configuration-invalid": "a `soundpost.toml` with an unknown key",
    "conntrack-too-low": "a kernel's numbers (unit test)",
    "port-range-too-low": "a kernel's numbers (unit test)",
    "somaxconn-too-low": "a kernel's numbers (unit test)",
    "redis-too-old": "what an older Redis says of itself (unit test)",
    "env-unreadable": "`--env` with a file that is not there",
}
"""What cannot be set up everywhere, or is not a scene."""


def set_ups() -> dict[str, list[str]]:
    """For each id how the tests set it up."""
    for folder in ("integration", "unit"):
        if str(TESTS / folder) not in sys.path:
            sys.path.append(str(TESTS / folder))
    from support.doctor_env_cases import CASES
    from support.doctor_stage import SCENES

    modules = [f"test_doctor_{name}" for name in ("connection", "proxy", "server", "machine", "addresses", "webhooks")]
    for module in modules:
        import_module(module)  # which registers its scenes
    scenes = sorted(SCENES, key=lambda each: modules.index(each.module))
    found: dict[str, list[str]] = {}
    for code, words in [(each.code, each.set_up) for each in scenes] + [(each.code, each.set_up) for each in CASES]:
        if words not in found.setdefault(code, []):
            found[code].append(words)
    for code, words in IN_UNIT_TESTS.items():
        found.setdefault(code, []).append(words)
    return found


def sections() -> str:
    """All faults, in Markdown: a heading for each, whose anchor is the fault's id."""
    from soundpost.tools.doctor.faults import SECTIONS

    known = set_ups()
    lines: list[str] = []
    for heading, faults in SECTIONS.items():
        lines += [f"### {heading}", ""]
        for fault in faults:
            warning = "Warning: " if fault.severity == "warning" else ""
            lines += [f"#### `{fault.code}`", "", f"> {warning}{_shown(fault.message)}", ""]
            lines += _wrapped(f"Why: {_shown(fault.why)}")
            lines += _wrapped(f"What to do: {_shown(fault.fix)}")
            for situation, fix in fault.other_fixes.items():
                lines += _wrapped(f"What to do if {situation}: {_shown(fix)}")
            lines += _wrapped(f"Set up in the tests: {'; '.join(known[fault.code])}.")
    return "\n".join(lines).rstrip() + "\n"


def _wrapped(paragraph: str) -> list[str]:
    return [*textwrap.wrap(paragraph, 120, break_long_words=False, break_on_hyphens=False), ""]


def _shown(template: str) -> str:
    """Facts as words in italics; asterisks and brackets of the text itself stay what they are."""
    *pairs, rest = re.split(r"\{([a-z_]+)(?::[^}]*)?\}", template)
    texts, facts = [re.sub(r"([*<\[])", r"\\\1", text) for text in [*pairs[::2], rest]], pairs[1::2]
    italic = [f"*{fact.replace('_', ' ')}*" for fact in facts]
    shown = "".join(text + fact for text, fact in zip(texts, [*italic, ""], strict=True))
    return re.sub(r"(\w\*)(\*\w)", r"\1 \2", shown)


def written() -> str:
    """The page with its list as it should be."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{sections()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(written())
