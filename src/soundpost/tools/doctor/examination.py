"""The steps of an examination, as they are taken: each with what was found."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from msgspec import Struct

from soundpost.tools.doctor.findings import FaultFound

Status = Literal["ok", "fault", "warning", "skipped"]
Explain = Callable[[FaultFound], FaultFound]
"""Gives the cause behind a fault, or the fault itself."""

TITLES: Final = {
    "env": "Settings",
    "machine": "This machine",
    "browser": "As a browser",
    "backend": "As a backend",
    "delivery": "From backend to browser",
    "idle": "A connection on which nothing is said",
}
"""Walks in their order, with a heading for people."""


class Step(Struct, frozen=True, kw_only=True):
    """One step: what was looked at, and what was found."""

    check: str
    name: str
    status: Status
    code: str | None = None
    """The fault's stable id."""
    message: str
    fix: str | None = None


class ExaminationListener(Protocol):
    """Hears of an examination while it goes on."""

    def check_began(self, check: str) -> None:
        """A walk begins."""

    def step_taken(self, step: Step) -> None:
        """A step was taken."""


class Examination:
    """Takes down steps; a ``listener`` hears of each at once."""

    def __init__(self, listener: ExaminationListener | None = None) -> None:
        self.steps: list[Step] = []
        self._listener = listener

    @property
    def faults(self) -> list[Step]:
        """The steps at which something was wrong."""
        return [step for step in self.steps if step.status == "fault"]

    def begin(self, check: str) -> None:
        """A walk begins."""
        if self._listener is not None:
            self._listener.check_began(check)

    def add(self, step: Step) -> None:
        """Take down a step."""
        self.steps.append(step)
        if self._listener is not None:
            self._listener.step_taken(step)

    def add_found(self, check: str, name: str, found: FaultFound) -> None:
        """Take down a fault, or a warning."""
        self.add(
            Step(
                check=check,
                name=name,
                status=found.fault.severity,
                code=found.code,
                message=found.message,
                fix=found.fix,
            )
        )


class Check:
    """One way, step by step; as a context it ends at its first fault, without an exception.

    ``explain`` may find the cause behind a fault before it is taken down.
    """

    def __init__(self, name: str, examination: Examination, explain: Explain | None = None) -> None:
        self.name = name
        self._examination = examination
        self._explain = explain

    def __enter__(self) -> Self:
        self._examination.begin(self.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return isinstance(error, _CheckEndedError)

    def step(self, name: str) -> PendingStep:
        """The next step, as a context: what it raises as :class:`Found` ends the walk."""
        return PendingStep(name, self)

    def skip(self, name: str, message: str) -> None:
        """A step that is not taken, and why."""
        self._examination.add(Step(check=self.name, name=name, status="skipped", message=message))

    def finish(self, step: PendingStep, error: BaseException | None) -> None:
        """Take down how a step went. Raises what ends the walk."""
        self._take_down(step, error)
        if isinstance(error, FaultFound):
            raise _CheckEndedError from None

    def _take_down(self, step: PendingStep, error: BaseException | None) -> None:
        if error is None and step.message:
            self._examination.add(Step(check=self.name, name=step.name, status="ok", message=step.message))
        if isinstance(error, FaultFound):
            found = error if self._explain is None else self._explain(error)
            self._examination.add_found(self.name, step.name, found)
        for other in step.also_found:
            self._examination.add_found(self.name, step.name, other)


class ContinuingCheck(Check):
    """Looks at things that do not depend on each other: goes on after a fault."""

    def finish(self, step: PendingStep, error: BaseException | None) -> None:
        """Take down how a step went."""
        self._take_down(step, error)


class PendingStep:
    """A step under way: set ``message`` to what was found; add to ``others`` what is to be said besides."""

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
    """The first fault of a walk was taken down."""
