"""Calls of sockets that never wait, and raise nothing where there is nothing to do.

The functions of ``_socketcalls.c`` are used where the package could be compiled, those in Python otherwise.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Final

AcceptSome = Callable[[int, int], list[int]]
ReadSome = Callable[[int], bytes | None]
WriteSome = Callable[[int, bytes | bytearray | memoryview], int]

_MAX_BYTES: Final = 65_536


def accept_some_in_python(listener: int, most: int) -> list[int]:
    """Accept as many connections as wait, and ``most`` at most; return their descriptors, which do not block.

    ``listener`` is a socket's descriptor. Raises OSError if the first connection cannot be accepted.
    """
    accepted: list[int] = []
    sock = socket.socket(fileno=listener)
    try:
        while len(accepted) < most:
            # Not accept(): a socket object for each connection would cost more than the call itself.
            fd, _address = sock._accept()  # type: ignore[attr-defined]
            os.set_blocking(fd, False)
            accepted.append(fd)
    except (BlockingIOError, ConnectionAbortedError):
        pass
    except OSError:
        if not accepted:
            raise
    finally:
        sock.detach()
    return accepted


def read_some_in_python(fd: int) -> bytes | None:
    """Read up to 64 KiB; return empty bytes at the end of the input, and None if there is none for now."""
    try:
        return os.read(fd, _MAX_BYTES)
    except BlockingIOError:
        return None


def write_some_in_python(fd: int, data: bytes | bytearray | memoryview) -> int:
    """Write as many bytes as the kernel takes for now; return their number."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0


accept_some: AcceptSome = accept_some_in_python
read_some: ReadSome = read_some_in_python
write_some: WriteSome = write_some_in_python
with contextlib.suppress(ImportError):
    from soundpost.server.connections import _socketcalls

    accept_some, read_some = _socketcalls.accept_some, _socketcalls.read_some
    write_some = _socketcalls.write_some
