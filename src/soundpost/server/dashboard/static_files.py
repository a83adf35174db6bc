"""The files of the page, read once: no path of a request ever names a file of the disk."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from soundpost.server.admin_http import AdminRequest, AdminResponse, not_found

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
}
_INDEX: Final = "/index.html"


class StaticFiles:
    """Files by the path of their URL; the index is at ``/``."""

    def __init__(self) -> None:
        self._files = dict(_files(files("soundpost.server.dashboard").joinpath("static"), ""))
        self._files["/"] = self._files.pop(_INDEX, AdminResponse(200, b""))
        shared = files("soundpost.server.playground").joinpath("static", "json_problem.js")
        self._files[f"/{shared.name}"] = _file(shared, _TYPES["js"])

    def __call__(self, request: AdminRequest) -> AdminResponse:
        """Answer with a file. Raises AdminError if there is none."""
        found = self._files.get(request.path)
        if found is None or request.method not in ("GET", "HEAD"):
            raise not_found(f"The dashboard has no {request.method[:20]}", request.path)
        return found


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, AdminResponse]]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        name = f"{path}/{entry.name}"
        content_type = _TYPES.get(entry.name.rpartition(".")[2])
        if entry.is_dir():
            yield from _files(entry, name)
        elif content_type is not None:
            yield name, _file(entry, content_type)


def _file(entry: Traversable, content_type: str) -> AdminResponse:
    return AdminResponse(200, entry.read_bytes(), content_type, (("Cache-Control", "no-cache"),))
