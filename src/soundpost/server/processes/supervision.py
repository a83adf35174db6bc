"""Supervision of a daemon: signals, the commands that control a server, restarts of a whole cluster.

SIGTERM stops the daemon after ``drain_delay`` and ``drain_time``, SIGINT without them; a second signal ends the wait.
SIGHUP restarts the daemon with new code and configuration.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from soundpost.config.settings import Settings
from soundpost.core.app_settings import AppSettings
from soundpost.errors import SoundpostError, StartError
from soundpost.log_fields import fields
from soundpost.server.connections.tls import check_certificate
from soundpost.server.processes import sd_notify
from soundpost.server.processes.daemon import Daemon, disconnected_in_words, drain_time
from soundpost.server.processes.status import Status

if TYPE_CHECKING:
    from soundpost.backplane.redis import RedisBackplane

log = logging.getLogger("soundpost.server")

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
Ending = Literal["stop", "exec"]
"""The end of a process: exit, or execution of the same command again."""


class Supervision:
    """The supervision of a daemon from start to end. ``load`` reads the configuration again."""

    def __init__(self, daemon: Daemon, load: Callable[[], Settings] | None) -> None:
        self._daemon = daemon
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[Ending] = self._loop.create_future()
        self._ending: Ending = "stop"
        self._starting: asyncio.Task[int] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._turn: asyncio.Task[None] | None = None
        self._hung_up = False
        self._restart_fault = ""
        self.ending_began = 0.0
        """Time at which the stop or restart began, by the monotonic clock."""
        self._clients = 0  # when it began
        for number in STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._stop, number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # blocked during exec
        self._terminals = [file for file in range(3) if os.isatty(file)]
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        if daemon.backplane is not None:
            daemon.backplane.registry.on_restart = partial(self._take_turn, daemon.backplane)

    async def start(self) -> int | None:
        """Start the daemon; return how many sockets may be open, None after a signal to stop. Raises StartError."""
        self._starting = asyncio.ensure_future(self._daemon.start())
        try:
            capacity = await self._starting
        except asyncio.CancelledError:
            if not self._end.done():
                raise
            return None
        self._starting = None
        if self._hung_up:
            self._on_hangup()
        return capacity

    @property
    def ending(self) -> Ending:
        """The end of the process, as far as is known: a later signal may change it."""
        return self._ending

    async def wait(self) -> Ending:
        """Wait until the daemon has stopped; return the end of the process."""
        return await self._end

    def status(self) -> Status:
        """Return the status of the daemon."""
        return self._daemon.status()

    def reload(self) -> str:
        """Read apps and certificate again; return which apps changed. Raises SoundpostError, with nothing changed."""
        self._refuse_during_restart()
        began = time.monotonic()
        settings = self._read()
        check_certificate(self._daemon.settings.server.tls)
        before = {app.id: app for app in self._daemon.settings.apps}
        after = {app.id: app for app in settings.apps}
        self._daemon.reload(settings.apps)
        message = f"apps reloaded: {_changes(before, after)}{_not_reloaded(self._daemon.settings, settings)}"
        log.info("%s", message, extra=fields(seconds=round(time.monotonic() - began, 3)))
        return message

    def restart(self) -> str:
        """Begin a restart with the new code and configuration; return what happens, in words.

        Raises SoundpostError, with nothing changed, for a wrong configuration, or if a restart is under way.
        """
        try:
            return self._begin_restart()
        except SoundpostError as error:
            log.error("not restarted: %s", error)
            raise

    def restart_is_done(self) -> bool:
        """Return whether no restart is under way. Raises StartError if the last one failed."""
        if self._ending == "exec" or (self._restarting is not None and not self._restarting.done()):
            return False
        if self._restart_fault:
            raise StartError(self._restart_fault)
        return True

    def stop(self) -> str:
        """Stop as after SIGTERM; return what happens, in words. Raises StartError if that is under way already."""
        if self._stopping is not None and self._ending == "stop":
            raise StartError("the server is stopping already")
        sd_notify.notify("STOPPING=1")
        self._ending = "stop"
        message = self._drain() if self._stopping is None else "stopping, in place of the restart that was under way"
        log.info("soundpost stop: %s", message)
        return f"{message}{_started_again_by(os.environ)}"

    def restart_all(self) -> str:
        """Have all hosts of the cluster restart, one after the other; return that in words. Raises SoundpostError."""
        backplane = self._daemon.backplane
        if backplane is None:
            return self.restart()
        if not backplane.registry.reaches_all:
            raise StartError(
                "Redis is away, so the other hosts get no command: restart each host with 'soundpost restart'"
            )
        backplane.registry.restart_all()
        return "all hosts restart, one after the other"

    def _read(self) -> Settings:
        if self._load is None:
            raise StartError("this server has no configuration to read again: its credentials were made for this run")
        return self._load()

    def _refuse_during_restart(self) -> None:
        replacing = self._restarting is not None and not self._restarting.done()
        if replacing or self._ending == "exec":
            raise StartError("a restart is under way already")

    def _begin_restart(self) -> str:
        self._refuse_during_restart()
        if self._starting is not None:
            raise StartError("the server is still starting: try again when it listens")
        if self._stopping is not None:
            raise StartError("the server is stopping")
        restart = self._daemon.begin_restart(self._read())
        self._restart_fault = ""
        log.info("%s", restart.message, extra=fields(connections=self._daemon.status().connections))
        sd_notify.notify_reloading()
        if restart.replacement is None:
            self._ending = "exec"
            self._stop_with(self._daemon.stop())
        else:
            self._restarting = asyncio.ensure_future(self._replace(restart.replacement, time.monotonic()))
        return restart.message

    async def _replace(self, replacement: Coroutine[Any, Any, None], began: float) -> None:
        """Wait until new workers have taken the place of the old ones."""
        try:
            await replacement
        except StartError as error:
            self._restart_fault = f"not restarted: {error}"
            log.error("%s", self._restart_fault)
        else:
            if self._stopping is None:
                seconds = time.monotonic() - began
                log.info("restarted in %.2f s: all workers are new", seconds, extra=fields(seconds=round(seconds, 3)))
        if self._stopping is None:
            sd_notify.notify("READY=1")

    def _take_turn(self, backplane: RedisBackplane) -> None:
        """Restart when it is the turn of this host: this host or another one asked all to restart."""
        if self._turn is None or self._turn.done():
            self._turn = asyncio.ensure_future(self._restart_in_turn(backplane))

    async def _restart_in_turn(self, backplane: RedisBackplane) -> None:
        await backplane.take_turn(self._daemon.time_to_restart)
        with suppress(SoundpostError):  # the log has it
            self.restart()
        if self._restarting is not None:
            await self._restarting
        if self._stopping is None:  # else the turn ends by itself, once the next process has had time to start
            await backplane.end_turn()

    def _on_hangup(self) -> None:
        """Restart after SIGHUP; stop if the signal comes because the terminal is gone."""
        if not all(map(os.isatty, self._terminals)):
            self._stop(signal.SIGTERM)
            return
        self._hung_up = self._starting is not None
        if not self._hung_up:
            with suppress(SoundpostError):  # the log has it
                self.restart()

    def _stop(self, number: signal.Signals) -> None:
        sd_notify.notify("STOPPING=1")
        self._ending = "stop"
        if self._starting is not None:
            log.info("%s: the server stops before it has started", number.name)
            self._cancel_start(self._starting)
        elif self._stopping is not None:
            log.info("%s: all clients are disconnected at once", number.name)
            self._daemon.stop_now()
        elif number == signal.SIGINT:
            log.info("%s: stopping, all clients are disconnected at once", number.name)
            self._stop_with(self._daemon.stop())
        else:
            log.info("%s: %s", number.name, self._drain())

    def _drain(self) -> str:
        """Begin to stop as configured, without haste; return what happens, in words."""
        in_cluster = self._daemon.backplane is not None and self._daemon.backplane.hosts > 1
        seconds = drain_time(self._daemon.settings, others_serve=in_cluster)
        delay = self._daemon.settings.server.drain_delay
        self._stop_with(self._daemon.stop(seconds, delay))
        over = f" over {seconds:g} s" if seconds else " at once"
        return f"stopping, clients are disconnected{over}{f', after {delay} s' if delay else ''}"

    def _cancel_start(self, starting: asyncio.Task[int]) -> None:
        starting.cancel()
        if not self._end.done():
            self._end.set_result("stop")

    def _stop_with(self, stop: Coroutine[Any, Any, None]) -> None:
        self.ending_began = time.monotonic()
        self._clients = self._daemon.connections  # the whole status looks through files, and none may be left to open
        self._stopping = asyncio.ensure_future(stop)
        self._stopping.add_done_callback(self._stopped)

    def _stopped(self, stopping: asyncio.Task[None]) -> None:
        if not self._end.done():
            error = stopping.exception()
            if error is None:
                self._log_end()
                self._end.set_result(self._ending)
            else:
                self._end.set_exception(error)

    def _log_end(self) -> None:
        seconds = time.monotonic() - self.ending_began
        what = "stopped in" if self._ending == "stop" else "executing the new code after"
        log.info(
            "%s %.2f s: %s",
            what,
            seconds,
            disconnected_in_words(self._clients),
            extra=fields(seconds=round(seconds, 3), connections=self._clients),
        )


def _started_again_by(environ: Mapping[str, str]) -> str:
    """Return the supervisor that would start this server again, with its command to stop; empty without one."""
    if "SUPERVISOR_ENABLED" in environ:
        name = environ.get("SUPERVISOR_PROCESS_NAME", "soundpost")
        return f". Supervisor may start it again: 'supervisorctl stop {name}' keeps it stopped"
    if "NOTIFY_SOCKET" in environ:
        return ". systemd may start it again: 'systemctl stop' and the name of its unit keep it stopped"
    return ""


def _changes(before: dict[str, AppSettings], after: dict[str, AppSettings]) -> str:
    changed = [app_id for app_id in before.keys() & after.keys() if before[app_id] != after[app_id]]
    lists = {"new": after.keys() - before.keys(), "changed": changed, "gone": before.keys() - after.keys()}
    return "; ".join(f"{word}: {', '.join(sorted(ids))}" for word, ids in lists.items() if ids) or "nothing changed"


def _not_reloaded(now: Settings, then: Settings) -> str:
    sections = ("server", "scaling", "dashboard", "metrics")
    changed = [f"[{name}]" for name in sections if getattr(now, name) != getattr(then, name)]
    if not changed:
        return ""
    return f". {' and '.join(changed)} changed too: that needs a restart"
