"""Running a server until a signal stops it, in this process or with several workers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable

import uvloop

from soundpost.config.settings import MetricsSettings, ServerSettings, Settings
from soundpost.server.admin_http import AdminListener
from soundpost.server.connections.listening import Listening
from soundpost.server.connections.socket_activation import close_other_inherited_sockets
from soundpost.server.dashboard.dashboard import Dashboard, inherited_sessions
from soundpost.server.figures.collector import FiguresCollector
from soundpost.server.processes import sd_notify
from soundpost.server.processes.control import ControlServer, inherited_control_socket
from soundpost.server.processes.control_paths import control_name
from soundpost.server.processes.daemon import Daemon
from soundpost.server.processes.handover import note_restart
from soundpost.server.processes.logs import open_standard_streams, stderr, stdout
from soundpost.server.processes.loop_watchdog import LoopWatchdog
from soundpost.server.processes.single_process import SingleProcess
from soundpost.server.processes.supervision import STOP_SIGNALS, Ending, Supervision
from soundpost.server.processes.workers import Workers
from soundpost.server.server import normal_prefix

log = logging.getLogger("soundpost.server")

OnReady = Callable[[Listening], None]
Load = Callable[[], Settings]


def run(
    settings: Settings,
    *,
    debug: bool = False,
    playground: bool = False,
    on_ready: OnReady,
    load: Load | None = None,
    configuration: str = "",
) -> None:
    """Serve until SIGINT or SIGTERM, then return. Raises StartError.

    ``load`` reads the configuration again, for SIGHUP, ``soundpost reload`` and ``restart``, which fail without it.
    ``on_ready`` is called with the address once the server listens. ``configuration`` is the path of the configuration
    file, for ``soundpost status``.
    """
    open_standard_streams()
    count = number_of_workers(settings.server)
    if uvloop.run(_serve(settings, count, debug, playground, on_ready, load, configuration)) == "exec":
        _execute_again()


def number_of_workers(settings: ServerSettings) -> int:
    """Return how many processes serve: as configured, or one for each core this process may use."""
    if settings.workers != "auto":
        return settings.workers
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _serve(
    settings: Settings,
    count: int,
    debug: bool,
    playground: bool,
    on_ready: OnReady,
    load: Load | None,
    configuration: str,
) -> Ending:
    daemon: Daemon
    if count == 1:
        daemon = SingleProcess(settings, playground=playground, debug=debug)
    else:
        daemon = Workers(settings, count, playground=playground, debug=debug)
    collector = FiguresCollector(daemon)
    metrics = _metrics(settings.metrics, collector)
    dashboard = Dashboard(daemon, collector) if settings.dashboard.is_on else None
    if dashboard is None:
        inherited_sessions()  # of one that was switched off
    inherited = inherited_control_socket()
    close_other_inherited_sockets()
    supervision = Supervision(daemon, load)
    capacity = await supervision.start()
    if capacity is None:
        return "stop"
    name = control_name(daemon.port, settings.server.unix_socket, settings.server.host)
    control = ControlServer(supervision, collector, name, configuration, inherited)
    await control.start()
    watchdog = LoopWatchdog()
    if metrics is not None or dashboard is not None or daemon.backplane is not None:  # other hosts may be asked
        collector.start()
    if metrics is not None:
        await metrics.start()
        log.info("the metrics are at %smetrics", metrics.url)
    if dashboard is not None:
        await dashboard.start()
    on_ready(_listening(settings.server, daemon.port, capacity))
    sd_notify.notify(f"READY=1\nSTATUS=serving at {settings.server.unix_socket or f'port {daemon.port}'}")
    try:
        ending = await supervision.wait()
    finally:
        watchdog.stop()
        if supervision.ending == "exec":
            control.hand_over()
        else:
            control.stop()
        if dashboard is not None:
            if supervision.ending == "exec":
                dashboard.hand_over()
            await dashboard.stop()
        if metrics is not None:
            if supervision.ending == "exec":
                metrics.hand_over()
            await metrics.stop()
        await collector.stop()
    if ending == "exec":  # a further SIGHUP must wait for the handler of the next process
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # held back for the handlers of the next process
        await asyncio.sleep(0.01)  # signals that came earlier are handled now
        ending = supervision.ending
        note_restart(supervision.ending_began)
    return ending


def _metrics(settings: MetricsSettings, collector: FiguresCollector) -> AdminListener | None:
    """Return the listener for Prometheus; None, without importing its client, if there is to be none."""
    if not settings.is_on:
        return None
    from soundpost.server.metrics.exposition import metrics_listener

    return metrics_listener(settings, collector.host_figures)


def _execute_again() -> None:
    """Execute the same command again, with the new code and configuration; the process id stays."""
    for stream in (stdout(), stderr()):
        stream.drain(1)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _listening(server: ServerSettings, port: int, capacity: int) -> Listening:
    return Listening(server.host, port, server.tls.certificate is not None, normal_prefix(server.path), capacity)
