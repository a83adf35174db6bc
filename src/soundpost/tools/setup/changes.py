"""Changes of a project's files: new files, insertions, and lines that a person must add."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from soundpost.tools.setup.source import UneditableError


@dataclass(frozen=True, slots=True)
class ManualEdit:
    """Lines that a person must add to a file, and why."""

    location: str
    reason: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A file to write."""

    path: Path
    after: bytes = field(repr=False)
    before: bytes | None = field(default=None, repr=False)
    """The present bytes; None for a new file."""
    encoding: str = "utf-8"
    private: bool = False
    """True for a file with secrets: closed to others, and of the file only what is inserted is shown."""
    replaces: bool = False
    """True for a new file in place of one that is there, which is thrown away."""
    what: str = ""
    """The file's purpose, for a new file: ``credentials``."""
    manual_edit: ManualEdit | None = None
    """Lines to add by hand if the file cannot be written; None for a new file, of which all lines are."""


@dataclass(slots=True)
class Changes:
    """All edits of a project: files to write, edits to make by hand, and notes."""

    files: list[Change] = field(default_factory=list)
    manual_edits: list[ManualEdit] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences about the findings and their consequences."""

    def add(self, other: Changes) -> None:
        """Add the changes of another one."""
        self.files += other.files
        self.manual_edits += other.manual_edits
        self.notes += other.notes


def editable(path: Path, directory: Path) -> Path:
    """Return the file itself behind links. Raises UneditableError if insertions must not be written there."""
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError):
        raise UneditableError("it cannot be found") from None
    if not real.is_relative_to(directory.resolve()):
        raise UneditableError(f"it is a link to {real}, outside of this folder")
    if not stat.S_ISREG(mode):
        raise UneditableError("it is not an ordinary file")
    if not mode & stat.S_IWUSR:
        raise UneditableError("it is read-only")
    return real
