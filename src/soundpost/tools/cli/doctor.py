"""Command ``soundpost doctor``: reasons why a server is not reached, or events do not arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_ADDRESSES = "Addresses (default: those configured here)"
_APP = "App (default: the one configured here)"
_MORE = "More to look at"


def doctor(
    url: Annotated[
        str | None,
        typer.Option(
            help="Where browsers connect, such as https://ws.example.com, or a whole wss://…/app/KEY.",
            rich_help_panel=_ADDRESSES,
            show_default=False,
        ),
    ] = None,
    backend_url: Annotated[
        str | None,
        typer.Option(
            help="Where applications publish to, such as http://127.0.0.1:8080.",
            rich_help_panel=_ADDRESSES,
            show_default="--url",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept any TLS certificate.", rich_help_panel=_ADDRESSES)
    ] = False,
    key: Annotated[str | None, typer.Option(help="App key.", rich_help_panel=_APP, show_default=False)] = None,
    app_id: Annotated[str | None, typer.Option(help="App id.", rich_help_panel=_APP, show_default=False)] = None,
    secret: Annotated[str | None, typer.Option(help="App secret.", rich_help_panel=_APP, show_default=False)] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            help="Origin of the pages, such as https://shop.example.com.",
            rich_help_panel=_APP,
            show_default="APP_URL in .env",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file.", rich_help_panel=_APP, show_default="soundpost.toml")
    ] = None,
    env: Annotated[
        list[Path] | None,
        typer.Option(
            help="A .env file of backend or frontend, or a source file with 'new Echo'; may be repeated.",
            rich_help_panel=_MORE,
            show_default=False,
        ),
    ] = None,
    slow: Annotated[
        bool,
        typer.Option(
            "--slow",
            help="Wait on an idle connection until a ping is due: does a proxy cut it?",
            rich_help_panel=_MORE,
        ),
    ] = False,
    connections: Annotated[
        int | None,
        typer.Option(
            help="Check whether this machine can hold this many connections.",
            min=1,
            rich_help_panel=_MORE,
            show_default="max_connections",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the steps.")] = False,
) -> None:
    """Find out why browsers do not connect, or events do not arrive.

    Connects as a browser does (name, port, TLS, WebSocket, hello, subscription), then as a backend does (signed
    request, clock), then publishes an event and waits for it. Each check stops at its first fault, and prints the
    reason and the way out. Run it on the server, where it reads the server's configuration, or on any other machine.
    It changes nothing: its event goes to a channel of its own.

    Exit codes: 0 no fault, 1 a fault, 2 wrong usage. All faults: https://soundpost.readthedocs.io/en/stable/doctor/

    \b
    [bold]Examples[/]
    soundpost doctor
    soundpost doctor --url https://ws.example.com --key k --origin https://shop.example.com
    soundpost doctor --url https://ws.example.com --backend-url http://127.0.0.1:8080 --app-id 1 --key k --secret s
    soundpost doctor --env backend/.env --env frontend/.env --slow --connections 20000
    """
    from soundpost.errors import ConfigurationError
    from soundpost.tools.cli.calling_application import calling_application
    from soundpost.tools.cli.doctor_options import DoctorOptions
    from soundpost.tools.cli.doctor_plan import plan_of
    from soundpost.tools.cli.doctor_report import TextReport, as_json
    from soundpost.tools.doctor import CheckPlan, Examination, examine
    from soundpost.tools.doctor.faults.machine import NOT_READABLE
    from soundpost.tools.doctor.findings import FaultFound

    options = DoctorOptions(
        url=url,
        backend_url=backend_url,
        key=key,
        app_id=app_id,
        secret=secret,
        origin=origin,
        env=tuple(env or ()),
        config=config,
        connections=connections,
        slow=slow,
        insecure=insecure,
    )
    plan = CheckPlan()
    unusable: FaultFound | None = None
    try:
        plan = plan_of(options)
    except ConfigurationError as error:
        situation = NOT_READABLE if "Permission denied" in str(error) else ""
        unusable = FaultFound("configuration-invalid", situation, reason=error)
    report = None if json else TextReport(plan)
    examination = Examination(report, command=calling_application().program)
    if unusable is not None:
        examination.begin("machine")
        examination.add_found("machine", "Configuration", unusable)
    else:
        examine(plan, examination)
    if report is None:
        typer.echo(as_json(examination))
    else:
        report.finished(examination)
    if examination.faults:
        raise typer.Exit(1)
