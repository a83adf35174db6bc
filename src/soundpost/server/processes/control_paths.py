"""The places of control sockets: one file for each server, in a folder that depends on the user."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from soundpost.wire.addresses import UNSPECIFIED

_MAX_PATH: Final = 100  # bytes; the kernel takes 107, macOS 103
_FOLDER_OF_ROOT: Final = Path("/run/soundpost")


def folders() -> Iterator[Path]:
    """Yield the folders for this user's sockets: systemd's RuntimeDirectory, root's folder, the user's own."""
    if "RUNTIME_DIRECTORY" in os.environ:
        yield Path(os.environ["RUNTIME_DIRECTORY"].partition(":")[0])
    if os.geteuid() == 0 and "XDG_RUNTIME_DIR" not in os.environ:
        yield _FOLDER_OF_ROOT
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".cache") / "soundpost"


def all_folders() -> Iterator[Path]:
    """Yield every folder in which a socket may be that this user may ask."""
    yield from dict.fromkeys((*folders(), _FOLDER_OF_ROOT, *_folders_of_others()))


def _folders_of_others() -> Iterator[Path]:
    """Yield the folders of other users' servers, for root: under Supervisor in the home of the program's user."""
    if os.geteuid() == 0:
        with suppress(OSError):
            for line in Path("/proc/net/unix").read_text(errors="replace").splitlines():
                path = Path(line.rpartition(" ")[2])
                if path.parent.name == "soundpost" and path.name.startswith("control-"):
                    yield path.parent


def control_name(port: int, unix_socket: str | None, host: str = "0.0.0.0") -> str:
    """Return the name of a server's control socket: its port and address, or a hash of the path of its Unix socket.

    A server that listens on all addresses is named by its port alone: no other can have that.
    """
    if unix_socket is None:
        return str(port) if host in UNSPECIFIED else f"{port}-{host}"
    return f"unix-{hashlib.sha256(os.fsencode(Path(unix_socket).absolute())).hexdigest()[:12]}"


def port_of_name(name: str) -> int | None:
    """Return the port in a control name; None for a server on a Unix socket."""
    port = name.partition("-")[0]
    return int(port) if port.isascii() and port.isdigit() else None


def has_address(name: str) -> bool:
    """Return whether the server of a control name listens on a port of one address alone."""
    return port_of_name(name) is not None and "-" in name


def name_in_words(name: str) -> str:
    """Return the server of a control name as messages call it: ``8080``, ``8080 (127.0.0.1)``."""
    port, _, rest = name.partition("-")
    if port_of_name(name) is None:
        return name
    return f"{port} ({rest})" if rest else port


def socket_file(name: str) -> str:
    """Return the file name of a server's socket."""
    return f"control-{name}.sock"


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name of a socket's path that is short enough for the kernel, which takes no more than 107 bytes."""
    if len(os.fsencode(path)) <= _MAX_PATH or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
