"""A Python without what Windows lacks: a stand-in for tests, and a plugin (``pytest -p support.windows``).

Modules and attributes that CPython does not have on Windows are gone, event loops handle no signals, and
``sys.platform`` is ``win32``. What cannot be shown so: Windows' own event loop, paths and console. On Windows itself
nothing is done.
"""

from __future__ import annotations

import _socket
import asyncio
import importlib
import importlib.abc
import os
import select
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any, Final

import pytest

_MODULES: Final = frozenset({"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty", "uvloop"})
"""Modules that no Python on Windows has; uvloop is not to be had there."""
_ATTRIBUTES: Final[dict[ModuleType, str]] = {
    os: "chown fchmod fork getegid geteuid getgid getgroups getloadavg getpgid getuid killpg lchown mkfifo pread "
    "pwrite register_at_fork sched_getaffinity setsid sysconf uname wait3 O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK",
    select: "poll epoll",
    signal: "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGUSR2 pthread_sigmask",
    socket: "AF_UNIX MSG_DONTWAIT MSG_NOSIGNAL SO_REUSEPORT",
}
_LIBRARIES: Final = (
    "asyncio",
    "concurrent.futures.process",
    "multiprocessing.pool",
    "subprocess",
    "ssl",
    "tempfile",
    "getpass",
    "httpx",
    "httptools",
    "msgspec",
    "websockets.asyncio.client",
    "websockets.sync.client",
    "anyio._backends._asyncio",
    "click",
    "rich.console",
    "rich.prompt",
    "typer",
    "typer.rich_utils",
    "django.core.management",
    "django.db.backends.sqlite3.base",
    "django.test",
    "flask",
    "fastapi.testclient",
    "starlette.applications",
    "litestar",
    "quart",
    "celery.app.base",
    "nacl.secret",
    "redis",
    "sqlalchemy",
    "uvicorn",
)
"""Modules that ask for the platform while they are imported, and would look for Windows itself then."""


class NotOnWindows(importlib.abc.MetaPathFinder):
    """Refusal of modules that Windows lacks."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raise ModuleNotFoundError for such a module."""
        if fullname in _MODULES:
            raise ModuleNotFoundError(f"No module named '{fullname}'", name=fullname)


def imitate_windows() -> None:
    """Take from this process what Windows lacks; there is no way back."""
    if sys.platform == "win32":
        return
    for name in _LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    for name in _MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, NotOnWindows())
    for module, names in _ATTRIBUTES.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    loop_class: Any = asyncio.SelectorEventLoop
    loop_class.add_signal_handler = asyncio.AbstractEventLoop.add_signal_handler  # which raises NotImplementedError
    vars(socket)["socketpair"] = _socket_pair
    vars(shutil)["_use_fd_functions"] = False
    vars(ssl)["enum_certificates"] = lambda store: []
    sys.platform = "win32"


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets: the standard library's own function looks for AF_UNIX, and would find none."""
    return tuple(  # type: ignore[return-value]
        socket.socket(each.family, each.type, each.proto, fileno=each.detach()) for each in _socket.socketpair()
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Imitate Windows before the first test module is imported."""
    imitate_windows()
