"""Logging to stderr, by a thread of its own: a reader of stderr that stops reading must not stop the server."""

from __future__ import annotations

import atexit
import io
import logging
import os
import select
import threading
from functools import cache
from typing import Final

_STDERR: Final = 2
_FORMAT: Final = "%(asctime)s %(levelname)s{process} %(name)s: %(message)s"
_MAX_WAITING: Final = 1_000_000
_EXIT_TIMEOUT: Final = 1.0


def set_up_logging(*, debug: bool, process: str = "") -> None:
    """Log to stderr: starts, stops and what else an operator waits for, warnings and worse; with ``debug`` more.

    ``process`` is the name of this process among several, such as ``worker 2``.
    """
    name = f" [{process}]" if process else ""
    logging.basicConfig(
        level=logging.INFO if debug else logging.WARNING,  # of libraries
        format=_FORMAT.format(process=name),
        stream=stderr(),
    )
    logging.getLogger("soundpost").setLevel(logging.DEBUG if debug else logging.INFO)


def log_line(level: str, text: str) -> str:
    """Return a line as the log has it, for what is not printed by a logger."""
    record = logging.makeLogRecord({"levelname": level, "name": "soundpost.server", "msg": text})
    return logging.Formatter(_FORMAT.format(process="")).format(record)


@cache
def stderr() -> QueuedStream:
    """Return the stream to stderr; at the exit of the process the rest is written, within a second."""
    stream = QueuedStream(_STDERR)
    atexit.register(stream.drain, _EXIT_TIMEOUT)
    return stream


class QueuedStream(io.TextIOBase):
    """A stream that writes to a file from a thread, so that writers never wait for a reader (a full pipe, Ctrl-S).

    Text that does not fit into the queue is left out; once there is room again a line gives the number of such texts.
    """

    def __init__(self, file: int, max_waiting: int = _MAX_WAITING) -> None:
        """``file``: a descriptor; ``max_waiting``: the number of characters that may wait."""
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
                self._left_out += 1
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
            self._changed.wait_for(lambda: self._size == 0, seconds)

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                text = "".join(self._waiting)
                self._waiting.clear()
                if self._left_out:
                    text += f"({self._left_out} log lines were left out here: nobody read what was written before)\n"
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
