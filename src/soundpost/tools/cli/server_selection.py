"""Server on this machine that a command means: by its port, by the configuration here, or as the only one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from soundpost.defaults import DEFAULT_PORT
from soundpost.errors import ConfigurationError, RequestError
from soundpost.tools.cli.control import in_words, ports
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from soundpost.config import Loaded
    from soundpost.server.processes.status import Status

_USUAL: Final = str(DEFAULT_PORT)
_MAX_NAMED: Final = 5


def server_name(port: int | None, config: Path | None, *, order: str = "") -> str:
    """Return a server's control name: by its port as given, as configured here, or the only server's.

    A server of the configuration here that listens elsewhere, as the address was changed since it was started, is
    found too, also if the configuration has a mistake by now. ``order`` is the command that would change something: it
    is never for the server of another configuration with other apps. Raises RequestError for such a server, and if a
    choice is left.
    """
    from soundpost.server.processes.control_client import running_servers
    from soundpost.server.processes.control_paths import port_of_name
    from soundpost.tools.cli.calling_application import load_here

    running = running_servers()
    if port is not None:
        return _one_of([name for name in running if port_of_name(name) == port], f"use port {port}", str(port))
    try:
        loaded = load_here(config)
    except ConfigurationError as mistake:
        return _despite(mistake, config, running, order)
    configured = configured_name(loaded)
    if configured is None:
        return _USUAL if len(running) > 1 and _USUAL in running else _one_of(running, "run here", _USUAL)
    name = configured if configured in running else _at_the_port(configured, running)
    other = _other_server(name, loaded, config) if name in running else None
    if name in running and other is None:
        return name
    own = _with_configuration(config, [each for each in running if each != name])
    if own is not None:
        typer.echo(
            f"{in_words(own)} belongs to this configuration, which has a new address since the server's start", err=True
        )
        return own
    if other is not None and order:
        raise RequestError(0, _refusal(name, other, loaded, order))
    _refuse_another_address(configured, running)
    return name


def _despite(mistake: ConfigurationError, config: Path | None, running: list[str], order: str) -> str:
    """Return the server that was started with the configuration here before it had a mistake.

    Raises RequestError without one, unless the command only looks at the one server that runs.
    """
    own = _with_configuration(config, running)
    if own is not None:
        return own
    if len(running) == 1 and not order:
        return running[0]
    others = f"; others run on the ports {ports(running)}: choose one with --port" if running else ""
    raise RequestError(
        0, f"no running server was started with the configuration here{others}. The configuration is wrong: {mistake}"
    )


def configured_name(loaded: Loaded) -> str | None:
    """Return the control name of a configured server; None for one without an address that is known before."""
    from soundpost.server.processes.control_paths import control_name

    server = loaded.settings.server
    if loaded.generated or (server.port == 0 and server.unix_socket is None):
        return None
    return control_name(server.port, server.unix_socket, server.host)


def name_after_restart(name: str, config: Path | None) -> str:
    """Return the control name that the server with ``name`` has once it has restarted with the configuration here."""
    from soundpost.tools.cli.calling_application import configuration_file

    status = _status(name)
    loaded = _loaded(config)
    if status is None or loaded is None or status.configuration != str(configuration_file(config)):
        return name
    return configured_name(loaded) or name


def _loaded(config: Path | None) -> Loaded | None:
    """Return the configuration here; None if it has a mistake."""
    from soundpost.tools.cli.calling_application import load_here

    try:
        return load_here(config)
    except ConfigurationError:
        return None


def _status(name: str) -> Status | None:
    """Return the status of a server; None if it does not answer."""
    from soundpost.server.processes.control_client import ask_server

    try:
        reply = ask_server("status", name)
    except OSError:
        return None
    return None if reply is None else reply.status


def _with_configuration(config: Path | None, names: Iterable[str]) -> str | None:
    """Return the only server that was started with the configuration here; None without one, or for several."""
    from soundpost.tools.cli.calling_application import configuration_file

    file = str(configuration_file(config))
    statuses = {name: _status(name) for name in names}
    found = [name for name, status in statuses.items() if status is not None and status.configuration == file]
    return found[0] if len(found) == 1 else None


def _other_server(name: str, loaded: Loaded, config: Path | None) -> Status | None:
    """Return the status of a server with another configuration, and other apps, than this folder; else None."""
    from soundpost.tools.cli.calling_application import configuration_file

    status = _status(name)
    if status is None or not status.configuration or status.configuration == str(configuration_file(config)):
        return None
    return status if {app.id for app in status.apps} != {app.id for app in loaded.settings.apps} else None


def _refusal(name: str, other: Status, loaded: Loaded, order: str) -> str:
    from soundpost.server.processes.control_paths import port_of_name

    port = port_of_name(name)
    all_the_same = "" if port is None else f". To {order} it all the same, give --port {port}"
    return (
        f"{in_words(name)} is not the server of this folder: it was started with "
        f"{printable(other.configuration)} and serves {_apps(app.id for app in other.apps)}, but the configuration "
        f"here has {_apps(app.id for app in loaded.settings.apps)}. Nothing was done. To {order} that server, go to "
        f"its folder{all_the_same}"
    )


def _apps(ids: Iterable[str]) -> str:
    known = [printable(each) for each in ids]
    more = f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else ""
    return f"{'app' if len(known) == 1 else 'the apps'} {', '.join(known[:_MAX_NAMED])}{more}"


def _at_the_port(configured: str, running: list[str]) -> str:
    """Return the only running server at the configured port, if one of the two listens on all addresses."""
    from soundpost.server.processes.control_paths import has_address, port_of_name

    port = port_of_name(configured)
    found = [name for name in running if port is not None and port_of_name(name) == port]
    apart = has_address(configured) and any(map(has_address, found))
    return found[0] if len(found) == 1 and not apart else configured


def _refuse_another_address(configured: str, running: list[str]) -> None:
    """Raise RequestError if the configured port is that of a server at another address."""
    from soundpost.server.processes.control_paths import has_address, name_in_words, port_of_name

    port = port_of_name(configured)
    at_port = [name for name in running if port is not None and port_of_name(name) == port]
    if configured not in running and has_address(configured) and any(map(has_address, at_port)):
        raise RequestError(
            0,
            f"the server at port {name_in_words(configured)} does not run; another one does, at "
            f"{', '.join(map(name_in_words, at_port))}: to ask that one, give --port",
        )


def _one_of(names: list[str], why: str, otherwise: str) -> str:
    """Return the only name, or ``otherwise`` if there is none. Raises RequestError for several."""
    from soundpost.server.processes.control_paths import name_in_words, port_of_name

    if len(names) < 2:
        return names[0] if names else otherwise
    if len({port_of_name(name) for name in names}) > 1:
        raise RequestError(0, f"several servers {why}, on the ports {ports(names)}: choose one with --port")
    shown = ", ".join(map(name_in_words, names))
    raise RequestError(
        0, f"several servers {why}, at different addresses: {shown}. Name the configuration of one with --config"
    )
