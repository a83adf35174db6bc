"""Writing of changes: each file in one piece, nothing overwritten that was not seen."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from soundpost.tools.setup.changes import Change
from soundpost.tools.setup.source import UneditableError


def write(change: Change) -> None:
    """Write a file. Raises UneditableError, and leaves the file as it is."""
    try:
        if change.before is not None:
            _insert(change, change.before)
        elif change.replaces:
            _put(change.path, change.after, mode=0o600)
        else:
            _create(change)
    except OSError as error:
        raise UneditableError(f"it cannot be written: {error.strerror}") from None


def _create(change: Change) -> None:
    try:
        descriptor = os.open(change.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if change.private else 0o666)
    except FileExistsError:
        raise UneditableError("another program has created it meanwhile") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(change.after)
    except BaseException:
        change.path.unlink(missing_ok=True)
        raise


def _insert(change: Change, before: bytes) -> None:
    path = change.path
    if path.read_bytes() != before:
        raise UneditableError("another program has changed it meanwhile")
    status = path.stat()
    mode = status.st_mode & 0o7777
    if change.private and mode & 0o007:
        mode = 0o600
    _put(path, change.after, mode=mode, owner=(status.st_uid, status.st_gid))


def _put(path: Path, data: bytes, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Write a file in one piece: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if owner is not None and hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(temporary, *owner)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
