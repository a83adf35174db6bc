"""Search of a project's files: breadth first, bounded, without links and without other people's code."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from soundpost.tools.setup.source import MAX_SIZE, PythonSource, UneditableError

MAX_DEPTH: Final = 4
MAX_ENTRIES: Final = 20_000
"""Files and folders that are examined, in total."""
_SKIPPED: Final = frozenset(
    ("__pycache__", "node_modules", "site-packages", "vendor", "build", "dist", "migrations", "env", "venv")
)
_NO_CODE: Final = frozenset(("test", "tests", "doc", "docs", "example", "examples", "benchmarks"))
"""Folders whose applications are not the project's own."""


class FoundFile(NamedTuple):
    """A file, and the number of folders between it and the place where the search began."""

    path: Path
    depth: int


class UnreadModule(NamedTuple):
    """A module that cannot be parsed, and the reason: ``it has a syntax error in line 2``."""

    path: Path
    reason: str


def files_below(directory: Path) -> Iterator[FoundFile]:
    """Yield the files of a project, those in the upper folders first, in the order of their names."""
    folders = deque([FoundFile(directory, 0)])
    seen = 0
    while folders:
        folder, depth = folders.popleft()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > MAX_ENTRIES:
                return
            if _is_file(entry):
                yield FoundFile(Path(entry.path), depth)
            elif depth < MAX_DEPTH and entry.is_dir(follow_symlinks=False) and _is_own(entry):
                folders.append(FoundFile(Path(entry.path), depth + 1))


def python_files(directory: Path) -> Iterator[FoundFile]:
    """Yield the Python files of a project, without its tests."""
    for found in files_below(directory):
        name = found.path.name
        if name.endswith(".py") and not name.startswith(("test_", "conftest.")) and not name.endswith("_test.py"):
            yield found


def modules_with(
    directory: Path, *words: str, unread: list[UnreadModule] | None = None
) -> Iterator[tuple[FoundFile, PythonSource]]:
    """Yield the modules of a project that have one of the words.

    Modules that Python cannot parse are left out; those that import from one of the words are added to ``unread``.
    """
    imports = re.compile(rb"^\s*(?:from|import)\s+(?:%s)\b" % b"|".join(word.encode() for word in words), re.MULTILINE)
    wanted = [word.encode() for word in words]
    for found in python_files(directory):
        data = read_small(found.path)
        if any(word in data for word in wanted):
            try:
                yield found, PythonSource(data)
            except UneditableError as error:
                if unread is not None and imports.search(data):
                    unread.append(UnreadModule(found.path, str(error)))


def read_small(path: Path) -> bytes:
    """Return a file's bytes; nothing for one that is too large for code, is not an ordinary file, or cannot be read."""
    try:
        status = path.stat()
        # The kernel's files in /proc say 0 bytes, and some of them never end.
        return path.read_bytes() if stat.S_ISREG(status.st_mode) and 0 < status.st_size <= MAX_SIZE else b""
    except OSError:
        return b""


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file; False for a link into a folder closed to this process."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_own(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or entry.name in _SKIPPED or entry.name in _NO_CODE:
        return False
    try:
        return not Path(entry.path, "pyvenv.cfg").exists()
    except OSError:  # a folder closed to this process
        return False
