"""Report of the doctor: step by step for people, a JSON list for programs."""

from __future__ import annotations

import sys
import textwrap
from typing import Final

import msgspec
import typer

from soundpost.tools.doctor import CheckPlan, Examination, Step
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.examination import TITLES
from soundpost.wire.printable import printable

_SIGNS: Final = {
    "ok": ("✓", "green"),
    "fault": ("✗", "red"),
    "warning": ("!", "yellow"),
    "follows": ("✗", "bright_black"),
    "skipped": ("–", "bright_black"),
}
_PLAIN_SIGNS: Final = {"ok": "+", "fault": "x", "warning": "!", "follows": "x", "skipped": "-"}
_WIDTH: Final = 108
_NAME: Final = 19


class TextReport:
    """Printer of steps while they are taken."""

    def __init__(self, plan: CheckPlan) -> None:
        self._plan = plan
        encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
        self._has_signs = encoding.startswith("utf")

    def check_began(self, check: str, base_url: BaseUrl | None) -> None:
        """Print a check's heading."""
        title, plan = TITLES[check], self._plan
        addressed = {"browser": (plan.public, plan.public_source), "backend": (plan.backend, plan.backend_source)}.get(
            check
        )
        if addressed is not None and base_url is not None:
            title += f": {base_url.url}"
            title += f" ({addressed[1]})" if addressed[1] and base_url == addressed[0] else ""
        if check == "webhooks" and base_url is not None:
            title += f": {base_url.url}"
        if check == "idle":
            title += " (takes as long as the time between two pings)"
        typer.secho(f"\n{printable(title)}", bold=True)
        sys.stdout.flush()

    def step_taken(self, step: Step) -> None:
        """Print a step; for a fault its id, its address in the documentation, and the way out, too."""
        sign, colour = _SIGNS[step.status]
        sign = typer.style(sign if self._has_signs else _PLAIN_SIGNS[step.status], fg=colour, bold=True)
        name = f"{step.name:<{_NAME}}"
        lines = _wrapped(step.message, _WIDTH - _NAME) or [""]
        if step.code is not None:
            lines.append(typer.style(f"[{step.code}]", fg=colour) + _reference(step))
        arrow = "→ " if self._has_signs else "> "
        fix = _wrapped(step.fix or "", _WIDTH - _NAME - 2)
        lines += [f"{arrow if not number else '  '}{line}" for number, line in enumerate(fix)]
        typer.echo(f"  {sign} {name} {lines[0]}")
        for line in lines[1:]:
            typer.echo(" " * (_NAME + 5) + line)
        sys.stdout.flush()

    def finished(self, examination: Examination) -> None:
        """Print the number of faults and warnings."""
        faults = len(examination.faults)
        warnings = sum(step.status == "warning" for step in examination.steps)
        also = f"; {warnings} warning{'s' * (warnings > 1)}" if warnings else ""
        if any(step.status == "follows" for step in examination.steps):
            also += f"; the rest follows from {'them' if faults > 1 else 'it'}"
        if faults:
            typer.secho(f"\n{faults} fault{'s' * (faults > 1)} found{also}.", fg=typer.colors.RED, bold=True)
        else:
            typer.secho(f"\nNo fault found{also}.", fg=typer.colors.GREEN, bold=True)


def _reference(step: Step) -> str:
    """Return the text after the id of a fault: the fault that it follows from, or its address in the docs."""
    return f" follows from [{step.follows_from}] above" if step.follows_from else f" {step.docs}"


def _wrapped(text: str, width: int) -> list[str]:
    text = printable(" ".join(text.split()))
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def as_json(examination: Examination) -> str:
    """Return the steps as a JSON list of objects."""
    text = msgspec.json.format(msgspec.json.encode(examination.steps)).decode()
    return "\n".join(map(printable, text.split("\n")))
