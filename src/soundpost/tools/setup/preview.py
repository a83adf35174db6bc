"""Preview of changes for a person: a line for each file, and the differences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Final

from soundpost.redaction import REDACTED
from soundpost.tools.setup.changes import Change, Changes, ManualEdit
from soundpost.wire.printable import printable

_SECRET: Final = re.compile(
    r"(?i)((?:\w*(?:secret|passw|token|credential|dsn|key)\w*|\w*_url)[\"']?\s*[=:]\s*)(?=\S).*"
)


def summary(changes: Changes, directory: Path) -> Iterator[str]:
    """Yield a line for each file: what happens to it, its path, and its purpose, or the reason to leave it alone."""
    rows = [(_verb(change), shown(change.path, directory), change.what) for change in changes.files]
    rows += [("by hand", each.location, each.reason) for each in changes.manual_edits]
    width = max((len(location) for _, location, _ in rows), default=0)
    for verb, location, what in rows:
        yield printable(f"{verb:<8} {location:<{width}}  {what}".rstrip())


def _verb(change: Change) -> str:
    if change.before is not None:
        return "change"
    return "replace" if change.replaces else "new"


def differences(change: Change, directory: Path) -> Iterator[str]:
    """Yield the lines of the unified diff of a file that is changed; texts that may be secret are not shown."""
    if change.before is None:
        return
    before, after = (data.decode(change.encoding).splitlines() for data in (change.before, change.after))
    path = shown(change.path, directory)
    is_secret = change.private or change.path.name.startswith(".env")
    context = 0 if is_secret else 2  # any line there may be a secret
    for line in unified_diff(before, after, path, path, n=context, lineterm=""):
        yield printable(_SECRET.sub(rf"\1{REDACTED}", line)).replace("\\t", "\t")


def edit_lines(each: ManualEdit) -> Iterator[str]:
    """Yield the lines that a person must add, with the reason."""
    reason = f", as {each.reason}" if each.reason else ""
    yield printable(f"Add by hand to {each.location}{reason}:")
    yield ""
    yield from (f"    {line}".rstrip() for line in each.lines)


def shown(path: Path, directory: Path) -> str:
    """Return a path as it is seen from a folder."""
    for base in (directory, directory.resolve()):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)
