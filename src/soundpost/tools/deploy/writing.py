"""Writing of a deployment's files.

The last line of each file has a checksum of the lines before it. A file that nobody has edited since is replaced.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from soundpost.errors import ConfigurationError
from soundpost.tools.deploy.plan import ConfigFile

_CHECKSUM: Final = re.compile(
    r"[#;] Written by soundpost deploy, which replaces it as long as it is not edited: sha256 ([0-9a-f]{64})\n"
)


def write(files: Sequence[ConfigFile], root: Path, *, force: bool) -> list[tuple[Path, bool]]:
    """Write files below ``root``, all or none. Return the path of each, and True if written, False if up to date.

    A file that exists with another text is replaced if it was written here and not edited, else with ``force`` only.
    Raises ConfigurationError.
    """
    targets = [(file, root / str(file.path).lstrip("/")) for file in files]
    states = [(file, target, _is_there(file, target)) for file, target in targets]
    conflicts = [str(target) for _, target, there in states if there is False]
    if conflicts and not force:
        raise ConfigurationError(
            f"{', '.join(conflicts)}: there already, with another text that was not written here or was edited since; "
            "nothing was written. --force replaces it"
        )
    for file, target, there in states:
        if not there:
            _put(file, target)
    return [(target, not there) for _, target, there in states]


def with_checksum(file: ConfigFile) -> str:
    """Return the text of a file as it is written: with its checksum, if the file may have comments."""
    if not file.takes_comments:
        return file.text
    sign = ";" if file.text.startswith(";") else "#"
    return (
        f"{file.text}{sign} Written by soundpost deploy, which replaces it as long as it is not edited: sha256 "
        f"{_checksum(file.text)}\n"
    )


def is_unedited(text: str) -> bool:
    """Return whether a file's text was written here, and not edited since."""
    before, _, last = text.removesuffix("\n").rpartition("\n")
    match = _CHECKSUM.fullmatch(f"{last}\n")
    return match is not None and match[1] == _checksum(f"{before}\n")


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_there(file: ConfigFile, target: Path) -> bool | None:
    """Return whether the file exists as it would be written; None if nothing, or a text from here, is there."""
    if not target.exists() and not target.is_symlink():
        return None
    try:
        right_mode = not file.private or not target.stat().st_mode & 0o077
        present = target.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if right_mode and present in (file.text, with_checksum(file)):
        return True
    return None if is_unedited(present) or (file.earlier and present == file.earlier) else False


def _put(file: ConfigFile, target: Path) -> None:
    """Write a file in one piece: a reader sees the old file or the new one."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if file.private else 0o777)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if file.private else 0o644)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(with_checksum(file))
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        hint = " (as root: sudo)" if isinstance(error, PermissionError) else ""
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}{hint}") from None
