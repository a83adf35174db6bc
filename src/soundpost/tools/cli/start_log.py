"""The log of ``soundpost start`` until the server listens, in colours for a person at a terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, cast

import typer

from soundpost import __version__
from soundpost.errors import SoundpostError
from soundpost.log_fields import fields

if TYPE_CHECKING:
    from soundpost.config.settings import ServerSettings
    from soundpost.core.app_settings import AppSettings
    from soundpost.server.processes.log_formats import Form
    from soundpost.tools.cli.addresses import ServerAddress

log = logging.getLogger("soundpost.server")

_VARIABLE: Final = "SOUNDPOST_LOG_FORMAT"


class StartLog:
    """The log of one start. ``form``: as the command line names it, which is known before the configuration is."""

    def __init__(self, form: str | None) -> None:
        self._began = time.monotonic()
        self._form = _form(form or os.environ.get(_VARIABLE, ""))
        self._workers = 1
        self._has_begun = False

    def begin(self, settings: ServerSettings, *, debug: bool) -> None:
        """Log as configured from now on."""
        from soundpost.server.processes.logs import log_as_configured
        from soundpost.server.processes.run import number_of_workers

        self._form = settings.log_format
        self._workers = number_of_workers(settings)
        log_as_configured(settings, debug=debug, process="" if self._workers == 1 else "parent")
        self._has_begun = True

    @property
    def is_for_people(self) -> bool:
        """True if stderr is a terminal whose reader did not ask for JSON."""
        from soundpost.server.processes.logs import stderr

        return self._form == "text" and stderr().isatty()

    @property
    def has_banner(self) -> bool:
        """True if stdout is a terminal whose reader did not ask for JSON."""
        return self._form == "text" and sys.stdout.isatty()

    def warn(self, warning: str) -> None:
        """Print or log a warning about the configuration."""
        from soundpost.server.processes.logs import stderr

        if self.is_for_people:
            typer.secho(f"warning: {warning}", fg=typer.colors.YELLOW, file=cast("IO[str]", stderr()))
        else:
            log.warning("%s", warning)

    def fail(self, error: SoundpostError) -> None:
        """Log why the server does not start."""
        from soundpost.server.processes.log_formats import FORMATS

        if self._has_begun:
            log.error("%s", error)
        else:  # the fault is in the configuration
            typer.echo(FORMATS[self._form]("").line(time.time(), "ERROR", log.name, str(error)), err=True)

    def listens(self, address: str, apps: Iterable[AppSettings]) -> None:
        """Log that the server listens, and how long its start took, or its restart."""
        from soundpost.server.processes.handover import restart_began

        if self.has_banner and self.is_for_people:
            return
        restarted = restart_began()
        seconds = time.monotonic() - (self._began if restarted is None else restarted)
        log.info(
            "soundpost %s  %s in %.2f s%s  listening on %s  apps: %s",
            __version__,
            "started" if restarted is None else "restarted",
            seconds,
            "" if self._workers == 1 else f" with {self._workers} workers",
            address,
            app_names(apps),
            extra=fields(
                version=__version__,
                seconds=round(seconds, 3),
                workers=self._workers,
                address=address,
                apps=[app.id for app in apps],
            ),
        )

    def offers_playground(self, local: ServerAddress, network_host: str | None) -> None:
        """Log where the playground is. ``network_host``: the host by which other machines reach it, if they do."""
        log.info("playground: %s/playground", local.url)
        if network_host is not None:
            log.warning("%s", open_playground(local, network_host))


@contextmanager
def logged_start(form: str | None) -> Iterator[StartLog]:
    """Yield the log of a start. An error of ours that leaves the ``with`` block is logged, and ends the command."""
    start = StartLog(form)
    try:
        yield start
    except SoundpostError as error:
        if start.is_for_people:
            raise
        start.fail(error)
        raise typer.Exit(1) from None


def app_names(apps: Iterable[AppSettings]) -> str:
    """Return the ids of apps in words."""
    return ", ".join(app.id if app.enabled else f"{app.id} (disabled)" for app in apps)


def open_playground(local: ServerAddress, host: str) -> str:
    """Return a warning that other machines reach the playground at ``host``."""
    return (
        f"Others reach the playground too, at {local._replace(host=host).url}/playground, and it publishes for all of "
        "them. --host 127.0.0.1 serves only this machine, --no-playground turns the playground off"
    )


def _form(name: str) -> Form:
    return "json" if name.strip().lower() == "json" else "text"
