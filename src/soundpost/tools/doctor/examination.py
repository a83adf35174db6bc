"""Steps of an examination, recorded as they are taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from msgspec import Struct

from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.consequences import EarlierFault, cause_of
from soundpost.tools.doctor.findings import FaultFound

Status = Literal["ok", "fault", "warning", "follows", "skipped"]
"""Result of a step. ``follows``: the step failed, and the reason is a fault that was found before."""
Explain = Callable[[FaultFound], FaultFound]
"""Function that returns the cause behind a fault, or the fault itself."""

TITLES: Final = {
    "env": "Settings",
    "machine": "This machine",
    "browser": "As a browser",
    "backend": "As a backend",
    "delivery": "From backend to browser",
    "idle": "An idle connection",
    "webhooks": "As the server, to the application",
}
"""Ids of the checks in their order, each with a heading for people."""
_OWN_COMMAND: Final = re.compile(r"'soundpost (?=(?:start|reload|restart|deploy|doctor|init)\b)")


class Step(Struct, frozen=True, kw_only=True):
    """One step of a check, and its result."""

    check: str
    name: str
    status: Status
    code: str | None = None
    """Stable id of the fault; None without one."""
    message: str
    fix: str | None = None
    """Way out; None without a fault, and for a fault that follows from another one."""
    follows_from: str | None = None
    """Id of the fault that was found before and is the reason of this one."""
    docs: str | None = None
    """Address of the fault in the documentation."""


class ExaminationListener(Protocol):
    """Listener that is called while an examination goes on."""

    def check_began(self, check: str, base_url: BaseUrl | None) -> None:
        """Handle the beginning of a check of ``base_url``."""

    def step_taken(self, step: Step) -> None:
        """Handle a finished step."""


class Examination:
    """Record of steps; a ``listener`` is called for each at once.

    ``command`` stands for ``soundpost`` in ways out: ``manage.py soundpost``.
    """

    def __init__(self, listener: ExaminationListener | None = None, command: str = "soundpost") -> None:
        self._command = command
        self.steps: list[Step] = []
        self._earlier: list[EarlierFault] = []
        self._listener = listener

    @property
    def faults(self) -> list[Step]:
        """The steps that found a fault; warnings, and what follows from a fault, are none."""
        return [step for step in self.steps if step.status == "fault"]

    def begin(self, check: str, base_url: BaseUrl | None = None) -> None:
        """Begin a check of ``base_url``."""
        if self._listener is not None:
            self._listener.check_began(check, base_url)

    def add(self, step: Step) -> None:
        """Record a step."""
        self.steps.append(step)
        if self._listener is not None:
            self._listener.step_taken(step)

    def add_found(
        self, check: str, name: str, found: FaultFound, base_url: BaseUrl | None = None, explain: Explain | None = None
    ) -> None:
        """Record a fault or warning as a step: one that follows from an earlier fault as such, else its cause.

        ``base_url`` is the address that the check examines. ``explain`` returns the cause behind a fault.
        """
        follows_from = cause_of(found.code, check, base_url, self._earlier)
        if follows_from is not None and found.fault.severity == "warning" and follows_from == found.code:
            return  # said before, of the same address
        explained = found if follows_from is not None or explain is None else explain(found)
        location = str(explained.facts.get("location", ""))
        self._earlier.append(EarlierFault(found.code, follows_from or explained.code, base_url, location))
        self.add(
            Step(
                check=check,
                name=name,
                status=explained.fault.severity if follows_from is None else "follows",
                code=explained.code,
                message=explained.message,
                fix=_OWN_COMMAND.sub(f"'{self._command} ", explained.fix) if follows_from is None else None,
                follows_from=follows_from,
                docs=explained.fault.docs,
            )
        )


class Check:
    """Steps that depend on each other; as a context manager the check ends at its first fault, without an exception.

    ``base_url`` is the address that the check examines. ``explain`` may replace a fault by its cause before the fault
    is recorded.
    """

    def __init__(
        self, name: str, examination: Examination, base_url: BaseUrl | None = None, explain: Explain | None = None
    ) -> None:
        self.name = name
        self._examination = examination
        self._base_url = base_url
        self._explain = explain

    def __enter__(self) -> Self:
        self._examination.begin(self.name, self._base_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return isinstance(error, _CheckEndedError)

    def step(self, name: str) -> PendingStep:
        """Return the next step, a context manager: a :class:`FaultFound` raised inside ends the check."""
        return PendingStep(name, self)

    def skip(self, name: str, message: str) -> None:
        """Record a step that is not taken, and the reason."""
        self._examination.add(Step(check=self.name, name=name, status="skipped", message=message))

    def finish(self, step: PendingStep, error: BaseException | None) -> None:
        """Record the result of a step. Raises _CheckEndedError after a fault."""
        self._take_down(step, error)
        if isinstance(error, FaultFound):
            raise _CheckEndedError from None

    def _take_down(self, step: PendingStep, error: BaseException | None) -> None:
        if error is None and step.message:
            self._examination.add(Step(check=self.name, name=step.name, status="ok", message=step.message))
        if isinstance(error, FaultFound):
            self._examination.add_found(self.name, step.name, error, self._base_url, self._explain)
        for other in step.also_found:
            self._examination.add_found(self.name, step.name, other, self._base_url)


class ContinuingCheck(Check):
    """Steps that do not depend on each other: the check continues after a fault."""

    def finish(self, step: PendingStep, error: BaseException | None) -> None:
        """Record the result of a step."""
        self._take_down(step, error)


class PendingStep:
    """Step under way: ``message`` is the result, ``also_found`` are faults and warnings besides."""

    def __init__(self, name: str, check: Check) -> None:
        self.name = name
        self.message = ""
        self.also_found: list[FaultFound] = []
        self._check = check

    def __enter__(self) -> PendingStep:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._check.finish(self, error)
        return isinstance(error, FaultFound)


class _CheckEndedError(Exception):
    """Signal that the first fault of a check was recorded."""
