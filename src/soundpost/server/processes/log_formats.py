"""Forms of a log line: text for people, JSON for programs. No text of a client can become a line, or move a cursor."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Literal, Protocol

import msgspec

from soundpost.wire.printable import printable

Form = Literal["text", "json"]
_ALONE: Final = "server"
"""Name in JSON lines of a process without workers."""
_INDENTATION: Final = "    "


class LogFormat(Protocol):
    """A form of log lines. ``name`` is that of the setting ``log_format``."""

    name: Form

    def line(
        self,
        at: float,
        level: str,
        logger: str,
        message: str,
        fields: Mapping[str, object] | None = None,
        exception: str = "",
    ) -> str:
        """Return a line without its end. ``at``: seconds since 1970. ``exception``: a traceback, of several lines."""


class TextFormat:
    """Lines for people, in local time. The lines of a traceback follow, indented."""

    name: Form = "text"

    def __init__(self, process: str = "") -> None:
        """Format records of a process; ``process`` is its name among several, such as ``worker 2``."""
        self._process = f" [{process}]" if process else ""

    def line(
        self,
        at: float,
        level: str,
        logger: str,
        message: str,
        fields: Mapping[str, object] | None = None,
        exception: str = "",
    ) -> str:
        """Return the fact as a sentence, behind time, level and logger."""
        stamp = _local_time(int(at))
        text = f"{stamp},{int(at % 1 * 1000):03d} {level}{self._process} {logger}: {printable(message)}"
        if exception:
            text += "".join(f"\n{_INDENTATION}{printable(line)}" for line in exception.splitlines())
        return text


class JsonFormat:
    """Objects of JSON with ``time`` (ISO 8601 in UTC), ``level``, ``logger``, ``process`` and ``message``.

    Fields of the fact follow, and ``exception`` if there is one.
    """

    name: Form = "json"

    def __init__(self, process: str = "") -> None:
        """Format records of a process; ``process`` is its name among several, such as ``worker 2``."""
        self._process = process or _ALONE

    def line(
        self,
        at: float,
        level: str,
        logger: str,
        message: str,
        fields: Mapping[str, object] | None = None,
        exception: str = "",
    ) -> str:
        """Return the fact as an object of JSON in one line."""
        found: dict[str, Any] = {
            "time": f"{_utc_time(int(at))}.{int(at % 1 * 1000):03d}Z",
            "level": level,
            "logger": logger,
            "process": self._process,
            "message": message,
        }
        if fields:
            found.update(fields)
        if exception:
            found["exception"] = exception
        try:
            encoded = msgspec.json.encode(found, enc_hook=str)
        except UnicodeEncodeError:
            encoded = msgspec.json.encode(_without_surrogates(found), enc_hook=str)
        return printable(encoded.decode())


FORMATS: Final[Mapping[Form, Callable[[str], LogFormat]]] = {"text": TextFormat, "json": JsonFormat}
"""Forms by their names, each made for a process."""


class RecordFormatter(logging.Formatter):
    """The form of a line for records of :mod:`logging`.

    ``extra`` of a logging call may have the fields of :func:`soundpost.log_fields.fields`, and a ``stack`` to show.
    """

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        trace = getattr(record, "stack", "")
        if record.exc_info and record.exc_info[0]:
            trace = self.formatException(record.exc_info)
        fields = getattr(record, "fields", None)
        return self._form.line(record.created, record.levelname, record.name, record.getMessage(), fields, trace)


@lru_cache(4)
def _local_time(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


@lru_cache(4)
def _utc_time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _without_surrogates(value: Any) -> Any:
    """Return a value whose texts can be encoded: halves of surrogate pairs are escaped."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(each) for each in value]
    return value
