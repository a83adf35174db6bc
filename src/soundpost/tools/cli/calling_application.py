"""The application whose framework has called a command, and the configuration that it means to the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from soundpost.config import Loaded
    from soundpost.config.application import ApplicationServer


class CallingApplication(NamedTuple):
    """An application, and the folder in which its settings look for ``.env`` and ``soundpost.toml``."""

    server: ApplicationServer | None
    """Server of the settings; None if they name no server, and for a command of ``soundpost`` itself."""
    directory: Path
    program: str = "soundpost"
    """Name by which the commands are called: ``manage.py soundpost``."""


_NONE: Final = CallingApplication(None, Path())
_calling: ContextVar[CallingApplication] = ContextVar("calling_application", default=_NONE)


@contextmanager
def called_by(application: CallingApplication) -> Iterator[None]:
    """Let the commands in a ``with`` block use an application's server."""
    token = _calling.set(application)
    try:
        yield
    finally:
        _calling.reset(token)


def calling_application() -> CallingApplication:
    """Return the application whose framework has called this command; one without a server if none has."""
    return _calling.get()


def load_here(config: Path | None = None) -> Loaded:
    """Return the configuration for a command: that of the calling application, or else of the working directory.

    ``config`` is an option of the command. Raises ConfigurationError.
    """
    return loader(config, {})()


def loader(config: Path | None, overrides: Mapping[str, object]) -> Callable[[], Loaded]:
    """Return a function that loads the configuration like :func:`load_here`, from any thread, as often as it is called.

    ``config`` and ``overrides`` are options of the command.
    """
    from soundpost.config import load

    calling = _calling.get()

    def read() -> Loaded:
        return load(
            environ=os.environ,
            directory=calling.directory,
            config_file=config,
            overrides=overrides,
            application=calling.server,
        )

    return read


def configuration_file(config: Path | None = None) -> Path:
    """Return the path of the configuration file of :func:`load_here`, whether the file is there or not."""
    from soundpost.environment.toml_document import FILE_NAME

    return (config or _calling.get().directory / FILE_NAME).resolve()
