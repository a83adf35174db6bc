"""Applications that would publish to another address than the one that options of ``soundpost start`` name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from soundpost.config.load import LOCAL_HOSTS
from soundpost.environment.toml_document import FILE_NAME
from soundpost.errors import ConfigurationError

if TYPE_CHECKING:
    from soundpost.config import Loaded


def address_mismatch(loaded: Loaded, usual: Callable[[], Loaded]) -> str | None:
    """Return a warning if applications in this folder publish to another port or path than the server has.

    ``usual`` loads the configuration as these applications read it: without the options of the command line.
    """
    here = loaded.settings.server
    if loaded.generated or here.unix_socket is not None:
        return None  # no application has the credentials, or the port is not used
    try:
        known = usual()
    except ConfigurationError:
        return None
    there, backend = known.settings.server, known.backend
    if not known.sources or backend.host not in (None, *LOCAL_HOSTS):
        return None
    has_file = FILE_NAME in known.sources
    if backend.port is None and here.port not in (0, there.port):
        return (
            f"applications in this folder publish to port {there.port}, but this server listens on {here.port}, so "
            f"their events do not arrive: set {_setting('port', has_file=has_file)} to {here.port}, and leave --port "
            "out"
        )
    if backend.path is None and here.path != there.path:
        path, other = here.path or "/", there.path or "/"
        return (
            f"applications in this folder publish below the path {other}, but this server is below {path}, so their "
            f"events do not arrive: set {_setting('path', has_file=has_file)} to {path}, and leave --path out"
        )
    return None


def _setting(option: str, *, has_file: bool) -> str:
    return f"{option} in {FILE_NAME}" if has_file else f"SOUNDPOST_SERVER_{option.upper()} in .env"
