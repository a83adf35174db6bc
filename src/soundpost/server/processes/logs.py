"""Logging to stderr, by a thread of its own: a reader of stderr that stops reading must not stop the server."""

from __future__ import annotations

import atexit
import io
import logging
import os
import select
import sys
import threading
import time
from functools import cache
from typing import Any, Final

from soundpost.config.settings import ServerSettings
from soundpost.server.processes.log_formats import FORMATS, Form, LogFormat, RecordFormatter, TextFormat

log = logging.getLogger("soundpost.server")

_STDOUT: Final = 1
_STDERR: Final = 2
_FORM: Final = "_SOUNDPOST_LOG_FORMAT"
"""Variable by which a worker knows the form of the log, before it has its configuration."""
_MAX_WAITING: Final = 1_000_000
_EXIT_TIMEOUT: Final = 1.0
_LEFT_OUT: Final = "{:,} lines of the log were left out here: nobody read the log"


def set_up_logging(*, debug: bool = False, process: str = "", form: Form = "text", level: str = "info") -> None:
    """Log to stderr, in lines of text or JSON; what Python itself would print there becomes such a line too.

    ``level``: the least one that is logged of the server, warnings and worse of libraries; ``debug`` has more of both.
    ``process`` is the name of this process among several, such as ``worker 2``. A further call replaces the first.
    """
    least = logging.DEBUG if debug else logging.getLevelNamesMapping()[level.upper()]
    made = FORMATS[form](process)
    _current.form = made
    os.environ[_FORM] = form
    root = logging.getLogger()
    if _current.handler is not None:
        root.removeHandler(_current.handler)
    _current.handler = logging.StreamHandler(stderr())
    _current.handler.setFormatter(RecordFormatter(made))
    root.addHandler(_current.handler)
    root.setLevel(logging.INFO if debug else max(least, logging.WARNING))  # of libraries
    logging.getLogger("soundpost").setLevel(least)
    logging.captureWarnings(True)
    sys.excepthook = _log_end
    sys.unraisablehook = _log_unraisable
    threading.excepthook = _log_end_of_thread


def open_standard_streams() -> None:
    """Open the null device in place of standard streams that were closed (``2>&-``).

    Otherwise a socket would get the number of stderr, and the lines of the log.
    """
    for number in (0, _STDOUT, _STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def log_as_parent(process: str) -> None:
    """Log in the form of the process that has started this one."""
    set_up_logging(process=process, form="json" if os.environ.get(_FORM) == "json" else "text")


def log_as_configured(settings: ServerSettings, *, debug: bool, process: str = "") -> None:
    """Log in the form and at the level of ``[server]``; see :func:`set_up_logging`."""
    set_up_logging(debug=debug, process=process, form=settings.log_format, level=settings.log_level)


def log_format() -> LogFormat:
    """Return the form of the lines that this process logs."""
    return _current.form


def log_line(level: str, text: str, logger: str = "soundpost.server") -> str:
    """Return a line, with its end, as the log has it."""
    return f"{log_format().line(time.time(), level, logger, text)}\n"


class _Current:
    form: LogFormat = TextFormat()
    handler: logging.Handler | None = None


_current: Final = _Current()


def _log_end(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("the process ends because of an error in Soundpost", exc_info=(kind, error, trace))


def _log_unraisable(found: sys.UnraisableHookArgs) -> None:
    error = found.exc_value
    log.error("an error in %r could not be raised", found.object, exc_info=error or True)


def _log_end_of_thread(found: threading.ExceptHookArgs) -> None:
    name = "a thread" if found.thread is None else f"the thread {found.thread.name}"
    if found.exc_value is not None:
        log.error("%s ended with an error", name, exc_info=found.exc_value)


@cache
def stderr() -> QueuedStream:
    """Return the stream to stderr; at the exit of the process the rest is written, within a second."""
    return _drained_at_exit(QueuedStream(_STDERR))


@cache
def stdout() -> QueuedStream:
    """Return the stream to stdout, like :func:`stderr`."""
    return _drained_at_exit(QueuedStream(_STDOUT))


def _drained_at_exit(stream: QueuedStream) -> QueuedStream:
    atexit.register(stream.drain, _EXIT_TIMEOUT)
    return stream


class QueuedStream(io.TextIOBase):
    """A stream that writes to a file from a thread, so that writers never wait for a reader (a full pipe, Ctrl-S).

    Text that does not fit into the queue is left out; once there is room again a line gives the number of such lines.
    """

    def __init__(self, file: int, max_waiting: int = _MAX_WAITING) -> None:
        """Write to the descriptor ``file``; at most ``max_waiting`` characters wait."""
        self._file = file
        self._max_waiting = max_waiting
        self._waiting: list[str] = []
        self._size = 0  # characters that wait, or are being written
        self._left_out = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, text: str, /) -> int:
        """Queue a text; return at once."""
        with self._changed:
            if self._size and self._size + len(text) > self._max_waiting:
                self._left_out += max(1, text.count("\n"))
            else:
                self._waiting.append(text)
                self._size += len(text)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._write_on, name="soundpost-log", daemon=True)
                    self._thread.start()
                self._changed.notify_all()
        return len(text)

    def isatty(self) -> bool:
        """Return whether the file is a terminal, which takes colours."""
        return os.isatty(self._file)

    def flush(self) -> None:
        """Do nothing: the thread writes as soon as it can."""

    def drain(self, seconds: float) -> None:
        """Wait until all is written, for ``seconds`` at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._size == 0 and not self._left_out, seconds)

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._left_out)
                text = "".join(self._waiting)
                self._waiting.clear()
                if self._left_out:
                    self._size += 1  # until the line is written, too
                    text += log_line("WARNING", _LEFT_OUT.format(self._left_out))
                    self._left_out = 0
            self._write_all(text.encode(errors="backslashreplace"))
            with self._changed:
                self._size = sum(map(len, self._waiting))
                self._changed.notify_all()

    def _write_all(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._file, data) :]
            except BlockingIOError:  # made non-blocking by a program on the same terminal
                select.select([], [self._file], [])
            except OSError:
                return  # the reader is gone
