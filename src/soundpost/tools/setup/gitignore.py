"""The line in ``.gitignore`` that keeps a file with secrets out of a repository."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from soundpost.tools.setup.changes import Change, Changes, ManualEdit, editable
from soundpost.tools.setup.search import read_small
from soundpost.tools.setup.source import UneditableError


def plan_gitignore(path: Path) -> Changes:
    """Return the line for the file at ``path``; nothing outside of a repository, or if the file is ignored already."""
    repository = next((folder for folder in (path.parent, *path.parent.parents) if (folder / ".git").exists()), None)
    if repository is None or _is_ignored(path, repository):
        return Changes()
    own, top = path.parent / ".gitignore", repository / ".gitignore"
    file = top if top.exists() and not own.exists() else own
    line = path.name
    if not file.exists() and not file.is_symlink():
        return Changes(files=[Change(file, f"{line}\n".encode(), what="keeps the credentials out of the repository")])
    try:
        real = editable(file, repository)
        before = real.read_bytes()
    except (UneditableError, OSError) as error:
        reason = str(error) if isinstance(error, UneditableError) else "it cannot be read"
        return Changes(manual_edits=[ManualEdit(".gitignore", reason, (line,))])
    manual_edit = ManualEdit(".gitignore", "", (line,))
    return Changes(
        files=[Change(real, _with_line(before, line), before=before, encoding="latin-1", manual_edit=manual_edit)]
    )


def _with_line(before: bytes, line: str) -> bytes:
    """Return the file with one line more, in the form of the others: with their line break, and an end like theirs."""
    line_break = b"\r\n" if b"\r\n" in before else b"\n"
    if not before or before.endswith(b"\n"):
        return before + line.encode() + line_break
    return before + line_break + line.encode()


def _is_ignored(path: Path, repository: Path) -> bool:
    """Return whether the last matching pattern of the repository ignores the file, by its name or path.

    Git itself is not asked: a repository's configuration can let git run programs.
    """
    folders = [folder for folder in reversed(path.parents) if folder.is_relative_to(repository)]
    files = [repository / ".git" / "info" / "exclude", *(folder / ".gitignore" for folder in folders)]
    ignored = False
    for file in files:
        base = repository if file.name == "exclude" else file.parent
        for line in re.split(r"\r?\n", read_small(file).decode("utf-8", "replace")):
            pattern = line.rstrip()
            if not pattern or pattern.startswith("#"):
                continue
            negated = pattern.startswith("!")
            if _matches(pattern.removeprefix("!"), path.relative_to(base)):
                ignored = not negated
    return ignored


def _matches(pattern: str, path: Path) -> bool:
    """Return whether a pattern of ``.gitignore`` matches a file, or one of the folders around the file."""
    is_folder = pattern.endswith("/")
    pattern = pattern.rstrip("/").removeprefix("**/")
    candidates = list(path.parents)[:-1] if is_folder else [path, *list(path.parents)[:-1]]
    if "/" in pattern:
        parts = re.sub(r"(\*\*/)+", "**/", pattern.lstrip("/")).split("/")
        return any(_match_parts(parts, each.parts) for each in candidates)
    return any(fnmatchcase(each.name, pattern) for each in candidates)


def _match_parts(patterns: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether each pattern matches one part of a path; ``**`` matches any number of parts."""
    if not patterns or not parts:
        return not patterns and not parts
    if patterns[0] == "**":
        return any(_match_parts(patterns[1:] or ["*"], parts[skipped:]) for skipped in range(len(parts)))
    return fnmatchcase(parts[0], patterns[0]) and _match_parts(patterns[1:], parts[1:])
