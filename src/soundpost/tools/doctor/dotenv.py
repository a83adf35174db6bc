"""A ``.env`` file as written: its values, the location of each, and mistakes of writing such as a missing quote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple

from dotenv.parser import parse_stream

from soundpost.environment.interpolation import interpolate
from soundpost.tools.doctor.findings import FaultFound

_OURS: Final = re.compile(r"(\w+_)?(REVERB|SOUNDPOST|PUSHER)_\w+|BROADCAST_(CONNECTION|DRIVER)|APP_(ENV|URL)")
_NAME: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")
_CURLY: Final = "“”„‘’‚«»"


class Value(NamedTuple):
    """The value of a variable, and where it is set: file and name."""

    text: str
    location: str
    """File and name, for messages: ``backend/.env: REVERB_HOST``."""
    unknown: str = ""
    """The name of an unset variable that the value refers to; empty if there is none."""


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A ``.env`` file, or a frontend's source file; ``mistakes`` are the mistakes of writing in it."""

    label: str
    values: Mapping[str, Value] = field(default_factory=dict)
    mistakes: tuple[FaultFound, ...] = ()
    source: str = ""
    """The text of a frontend's source file; such a file has no variables."""


def read_env_file(path: Path, label: str | None = None) -> EnvFile:
    """Read a file, or the ``.env`` in a directory; ``label`` is its name in messages. A fault becomes an mistake."""
    label = label or str(path)
    if path.is_dir():
        path, label = path / ".env", str(Path(label) / ".env")
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        return EnvFile(label, mistakes=(FaultFound("env-unreadable", location=label, reason=error.strerror),))
    if path.suffix in (".js", ".ts", ".jsx", ".tsx", ".vue", ".svelte", ".mjs"):
        return EnvFile(label, source=text)
    return _Reading(label).read(text)


class _Reading:
    """The state of reading one file line by line."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._values: dict[str, Value] = {}
        self._oddities: list[FaultFound] = []

    def read(self, text: str) -> EnvFile:
        for binding in parse_stream(StringIO(text)):
            if binding.error:
                self._not_understood(binding.original.string)
            elif binding.key and binding.value is not None:
                self._take(binding.key, binding.value, binding.original.line)
        return EnvFile(self._label, self._values, tuple(self._oddities))

    def _not_understood(self, line: str) -> None:
        name = _NAME.match(line)
        if name and _OURS.fullmatch(name[1]):
            self._oddities.append(FaultFound("env-quotes", location=self._location(name[1]), what="one quote too few"))

    def _take(self, name: str, written: str, line: int) -> None:
        unknown: list[str] = []

        def look_up(other: str) -> str:
            if other not in self._values:
                unknown.append(other)
                return ""
            return self._values[other].text

        text = interpolate(written, look_up)
        before = self._values.get(name)
        if before is not None and before.text != text and _OURS.fullmatch(name):
            self._oddities.append(FaultFound("env-set-twice", location=before.location, line=line))
        self._values[name] = Value(text, self._location(name), unknown[0] if unknown else "")
        what = _mistake(written)
        if what and _OURS.fullmatch(name):
            self._oddities.append(FaultFound("env-quotes", location=self._location(name), what=what))

    def _location(self, name: str) -> str:
        return f"{self._label}: {name}"


def _mistake(written: str) -> str:
    if any(char in _CURLY for char in written):
        return "typographic quotes"
    if written[:1] in ("'", '"') or written[-1:] in ("'", '"'):
        return "quotes"
    if written != written.strip():
        return "spaces at its beginning or end"
    return "spaces" if " " in written and "," not in written and "$" not in written else ""
