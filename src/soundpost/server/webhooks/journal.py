"""The journal: a file with the states that endpoints were told of, to report their ends after a crash.

Each line is a JSON list: ``+`` for a state that endpoints know of, ``~`` for one that they may know of, ``-`` for one
that has ended; then the app's id and the state. Lines are appended without fsync: they survive the death of the
process, and those of the last seconds not that of the machine. The file is rewritten at the start, and when it has
grown.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from soundpost.core.outbox import CallSoon
from soundpost.core.slices import in_parts, in_slices
from soundpost.core.webhooks import ENDS
from soundpost.errors import StartError
from soundpost.log_throttle import LogThrottle
from soundpost.server.webhooks.states import State
from soundpost.server.webhooks.waiting_event import WaitingEvent

log = logging.getLogger("soundpost.webhooks")

_SMALL: Final = 1_048_576
"""Bytes up to which a journal is not rewritten."""
_GROWTH: Final = 4
"""Factor by which a journal has grown when it is rewritten."""
_LINES_AT_ONCE: Final = 1_000
"""Number of lines that are written together: some 2 ms."""
_PAUSE: Final = 10.0
"""Seconds after a failure, such as a full disk, until the journal is rewritten: lines of it are missing."""
_Line = tuple[str, str, str, str, str]


class Journal:
    """The journal of one server, locked for it. ``call_soon`` is the loop's, ``clock`` is in seconds."""

    def __init__(self, path: Path, call_soon: CallSoon, clock: Callable[[], float] = time.monotonic) -> None:
        """Open the file. Raises StartError if the file cannot be used, or is that of another process."""
        self._path = path
        self._call_soon = call_soon
        self._clock = clock
        self.turn_clock: Callable[[], float] = time.perf_counter
        """Clock in seconds that goes on within a loop turn."""
        self._throttle = LogThrottle(log)
        self._apps: dict[str, dict[State, bool]] = {}
        self._lines: list[bytes] = []
        self._since_rewrite: list[bytes] | None = None
        """Lines that came while the journal is rewritten; None while it is not."""
        self._size = self._limit = 0
        self._is_whole = True
        """False while lines are missing in the file, as they could not be written."""
        self._again_at = 0.0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = _locked(path)
            self._read()
            for _ in self._rewriting():
                pass
        except OSError as error:
            raise StartError(f"[server] state_dir: {path} cannot be written: {error.strerror or error}") from None

    def states(self) -> Iterator[tuple[str, list[tuple[State, bool]]]]:
        """Yield each app's id, and its states: each with True if its endpoints are sure to know of it."""
        for app_id, states in self._apps.items():
            yield app_id, list(states.items())

    def note(self, app_id: str, state: State, *, is_sure: bool) -> None:
        """Note a state that endpoints know of, or may know of. :meth:`write` writes it."""
        states = self._apps.setdefault(app_id, {})
        if states.get(state) is not is_sure:
            states[state] = is_sure
            self._lines.append(_line("+" if is_sure else "~", app_id, state))

    def remove(self, app_id: str, state: State) -> None:
        """Note that a state has ended. :meth:`write` writes it."""
        if self._apps.get(app_id, {}).pop(state, None) is not None:
            self._lines.append(_line("-", app_id, state))

    def forget(self, app_id: str) -> None:
        """Remove all states of an app. With very many the lines are written over several loop turns."""

        def write_ends(states: Sequence[State]) -> None:
            known = self._apps.get(app_id, {})  # not empty if the app has come back meanwhile
            self._lines += [_line("-", app_id, state) for state in states if state not in known]
            self.write()

        states = in_parts(list(self._apps.pop(app_id, ())), _LINES_AT_ONCE)
        in_slices(states, write_ends, self._call_soon, clock=self.turn_clock)

    def reconcile(self, app_id: str, notified: Iterable[tuple[State, bool]], waiting: Container[State]) -> None:
        """Have the states of an app that were ``notified``, for a journal that another process has not kept.

        States of events that are ``waiting`` are left as they are: :meth:`tried` and :meth:`settled` note them.
        """
        known, states = self._apps.get(app_id, {}), dict(notified)
        for state in [state for state in known if state not in states and state not in waiting]:
            self.remove(app_id, state)
        for state, is_sure in states.items():
            if state not in known and state not in waiting:
                self.note(app_id, state, is_sure=is_sure)
        self.write()

    def tried(self, events: Iterable[WaitingEvent]) -> None:
        """Note that endpoints may know of what these events begin or end. Writes it."""
        for waiting in events:
            state = waiting.event.state
            if state is not None and not waiting.was_tried:
                self.note(waiting.app_id, state, is_sure=False)
        self.write()

    def settled(self, waiting: WaitingEvent, states: Container[State]) -> None:
        """Note what endpoints know after an event was sent or dropped: nothing, if a later event is on its way.

        ``states`` are those that the app's endpoints were told of, or are about to be. :meth:`write` writes it.
        """
        state = waiting.event.state
        if state is None:
            return
        if waiting.event.name in ENDS:
            if state not in states:
                self.remove(waiting.app_id, state)
        elif state in states and waiting.was_tried and not waiting.was_dropped:
            self.note(waiting.app_id, state, is_sure=True)

    def write(self) -> None:
        """Write the noted states. A full disk is logged, and the journal is rewritten when there is room."""
        if self._file < 0:
            return
        if self._lines:
            data, self._lines = b"".join(self._lines), []
            if self._since_rewrite is not None:
                self._since_rewrite.append(data)
            self._write(data)
        is_due = self._size > self._limit if self._is_whole else self._clock() >= self._again_at
        if is_due and self._since_rewrite is None:
            self._rewrite(self._rewriting())

    def _write(self, data: bytes) -> None:
        if not self._is_whole:
            return
        try:
            self._append(self._file, data)
        except OSError as error:
            self._fail(error)
        self._size += len(data)

    def close(self) -> None:
        """Give the journal to the next process."""
        if self._file >= 0:
            self._again_at = self._clock() + _PAUSE
            self.write()
            if not self._is_whole:
                self._rewrite_now()
            os.close(self._file)
            self._file = -1

    def _rewrite_now(self) -> None:
        try:
            for _ in self._rewriting():
                pass
        except OSError as error:
            self._fail(error)

    def _read(self) -> None:
        """Read the states that the last process noted. A line that is not whole, as after a crash, is left out."""
        decoder = msgspec.json.Decoder(_Line)
        with os.fdopen(os.dup(self._file), "rb") as stream:
            for line in stream:
                with suppress(msgspec.DecodeError):
                    sign, app_id, *state = decoder.decode(line)
                    states = self._apps.setdefault(app_id, {})
                    if sign == "-":
                        states.pop((state[0], state[1], state[2]), None)
                    else:
                        states[state[0], state[1], state[2]] = sign == "+"

    # Rewriting

    def _rewrite(self, steps: Iterator[None]) -> None:
        """Rewrite the journal, some lines in each loop turn."""
        try:
            next(steps)
        except StopIteration:
            return
        except OSError as error:
            self._since_rewrite = None
            self._limit = self._size * 2
            self._fail(error)
            return
        self._call_soon(lambda: self._rewrite(steps))

    def _rewriting(self) -> Iterator[None]:
        """Write the states to a new file in steps, and put it in the place of the old one. Raises OSError."""
        self._since_rewrite = []
        path = self._path.with_name(f"{self._path.name}.new")
        path.unlink(missing_ok=True)
        file = _locked(path)
        try:
            size = 0
            for app_id, some in self._in_parts():
                states = self._apps.get(app_id, {})
                data = b"".join(
                    [
                        _line("+" if is_sure else "~", app_id, state)
                        for state in some
                        if (is_sure := states.get(state)) is not None  # else the line of its end follows
                    ]
                )
                self._append(file, data)
                size += len(data)
                yield
                if self._file < 0:  # closed meanwhile
                    return
            late = b"".join(self._since_rewrite)
            self._append(file, late)
            path.rename(self._path)
            old, self._file, file = self._file, file, -1
            os.close(old)
            self._is_whole = True
            self._size = size + len(late)
            self._limit = max(_SMALL, _GROWTH * self._size)
            self._since_rewrite = None
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            if file >= 0:
                os.close(file)

    def _in_parts(self) -> Iterator[tuple[str, Sequence[State]]]:
        """Yield the ids of apps, each with some of its states."""
        for app_id in list(self._apps):
            for part in in_parts(list(self._apps.get(app_id, ())), _LINES_AT_ONCE):
                yield app_id, part

    def _append(self, file: int, data: bytes) -> None:
        while data:
            data = data[os.write(file, data) :]

    def _fail(self, error: OSError) -> None:
        self._is_whole = False
        self._again_at = self._clock() + _PAUSE
        self._throttle.warn(
            "write",
            "%s cannot be written: %s; after a crash the application would not be told who is gone",
            self._path,
            error.strerror or error,
        )


def _line(sign: str, app_id: str, state: State) -> bytes:
    return msgspec.json.encode((sign, app_id, *state)) + b"\n"


def _locked(path: Path) -> int:
    """Open a file for appending, locked for this process. Raises OSError, and StartError if another one has it."""
    import fcntl  # Windows has none: an embedded server loads this module there, and has no journal

    while True:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_ino == path.stat().st_ino:
                return file
        except BlockingIOError:
            os.close(file)
            raise StartError(
                f"[server] state_dir: {path} is in use by another process: each server needs a state_dir or a port of "
                "its own"
            ) from None
        except FileNotFoundError:
            pass
        os.close(file)
