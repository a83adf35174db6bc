"""pusher-js, laravel-echo and soundpost-resume as files of this package, for pages without a bundler."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from soundpost import __version__


class Library(NamedTuple):
    """A JavaScript library of the package, as browsers load it by ``<script>``."""

    file: str
    """Name of the file in :data:`FOLDER`."""
    package: str
    """Name of the npm package that the file comes from."""
    version: str
    """Version of the npm package."""
    path_in_package: str
    """Path of the file in the npm package."""


LIBRARIES: Final = (
    Library("pusher.min.js", "pusher-js", "8.6.0", "dist/web/pusher.min.js"),
    Library("echo.iife.js", "laravel-echo", "2.5.0", "dist/echo.iife.js"),
    Library("soundpost-resume.min.js", "soundpost-resume", __version__, "built/soundpost-resume.min.js"),
)
"""The libraries, in the order in which a page loads them. The files are npm's, without their source map lines; the last
one is made of this repository's folder ``js``."""
FOLDER: Final = Path(str(files("soundpost.broadcasting.browser"))) / "static" / "vendor"
"""The folder with the files, and with their licences in ``LICENSES``."""
LIBRARY_HEADERS: Final = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Cache-Control": "public, max-age=86400",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of an HTTP response with a library. URLs of :func:`versioned` change with the library's version."""


@cache
def library_text(file: str) -> str:
    """Return the JavaScript of a library. Raises KeyError for a file that is not one of :data:`LIBRARIES`."""
    if file not in [each.file for each in LIBRARIES]:
        raise KeyError(file)
    return (FOLDER / file).read_text(encoding="utf-8")


def versioned(path: str) -> list[str]:
    """Return the URLs of the libraries below a path: ``/broadcasting/pusher.min.js?v=8.6.0``."""
    return [f"{path.rstrip('/')}/{each.file}?v={each.version}" for each in LIBRARIES]
