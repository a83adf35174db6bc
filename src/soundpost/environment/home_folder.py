"""Paths of files that begin with ``~``, for the home folder, as a shell reads them."""

from __future__ import annotations

from pathlib import Path

from soundpost.errors import ConfigurationError


def with_home(path: str, place: str) -> str:
    """Return the path of a file, with the home folder for a ``~`` at its beginning.

    Raises ConfigurationError, which begins with ``place``, for the home of a user that there is not.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ConfigurationError(
            f"{place}={path!r}: there is no such home folder; './{path}' is a file of this name"
        ) from None
