"""State that a process hands over to the program that it executes next, in a restart.

The state lies in a file without a name, in memory where the system has such files. The next program inherits it.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from typing import Final

import msgspec

log = logging.getLogger("soundpost.server")

_FILE: Final = "_SOUNDPOST_HANDOVER"


def hand_over(parts: Mapping[str, bytes]) -> None:
    """Have the program that this process executes next inherit the state; each part has a name."""
    file = _nameless_file()
    with os.fdopen(os.dup(file), "wb") as stream:
        stream.write(msgspec.msgpack.encode(parts))
    os.set_inheritable(file, True)
    os.environ[_FILE] = f"{os.getpid()}:{file}"


def taken_over() -> dict[str, bytes]:
    """Return the state that this process has inherited, once; an empty dict for most processes."""
    pid, _, file = os.environ.pop(_FILE, "").partition(":")
    if pid != str(os.getpid()) or not file:
        return {}
    try:
        with os.fdopen(int(file), "rb") as stream:
            stream.seek(0)
            return msgspec.msgpack.decode(stream.read(), type=dict[str, bytes])
    except (OSError, msgspec.DecodeError) as error:
        log.warning("the state of the process before the restart cannot be read, clients are told of gaps: %s", error)
        return {}


def _nameless_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("soundpost-handover")
    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())
