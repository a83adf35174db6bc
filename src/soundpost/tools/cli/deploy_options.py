"""Options that several commands of ``soundpost deploy`` share, declared once in groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import typer

SIZE: Final = "What is wanted"
FRONT: Final = "How browsers connect"
API: Final = "Who may publish through the proxy"
OUTPUT: Final = "Where it goes"

ServerNameOption = Annotated[
    str | None,
    typer.Option(
        help="Name browsers connect to, such as ws.example.com.",
        rich_help_panel=FRONT,
        show_default="that of public_url, hostname, or SOUNDPOST_HOST",
    ),
]
ListenOption = Annotated[
    int | None, typer.Option(help="Port for https and wss.", rich_help_panel=FRONT, show_default="443")
]
HttpPortOption = Annotated[
    int, typer.Option(help="Port of plain HTTP, which redirects to https; 0: none.", rich_help_panel=FRONT)
]
CertificateOption = Annotated[
    str,
    typer.Option(help="PEM file with the chain.", rich_help_panel=FRONT, show_default="Let's Encrypt's for the name"),
]
KeyOption = Annotated[
    str, typer.Option(help="PEM file with the key.", rich_help_panel=FRONT, show_default="Let's Encrypt's")
]
NodeOption = Annotated[
    list[str] | None,
    typer.Option("--node", help="Address of one of several servers, host:port; repeat for each.", rich_help_panel=SIZE),
]
ConnectionsOption = Annotated[
    int | None,
    typer.Option(help="Clients at a time.", rich_help_panel=SIZE, show_default="server.max_connections, or 10000"),
]
ApiOption = Annotated[
    Literal["public", "internal"],
    typer.Option("--api", help="internal: /apps is closed to the outside.", rich_help_panel=API),
]
ApiFromOption = Annotated[
    list[str] | None,
    typer.Option(
        "--api-from",
        help="Address or network that may use an internal API, such as 10.0.0.0/8; repeat for each.",
        rich_help_panel=API,
    ),
]
AlsoSiteOption = Annotated[
    bool,
    typer.Option(
        "--also-site", help="The name has a site already: write only the part to add to it.", rich_help_panel=FRONT
    ),
]
UserOption = Annotated[
    str | None,
    typer.Option(
        help="User that runs the server.", rich_help_panel=SIZE, show_default="owner of the configuration, never root"
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option(help="Configuration file.", rich_help_panel=SIZE, show_default="soundpost.toml")
]
WriteOption = Annotated[bool, typer.Option("--write", help="Write the files to their places.", rich_help_panel=OUTPUT)]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace files that exist.", rich_help_panel=OUTPUT)]
RootOption = Annotated[
    Path | None,
    typer.Option(help="Folder to write below, as for an image or a package.", rich_help_panel=OUTPUT, show_default=""),
]


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """Options for a proxy in front of the server: the name, ports and certificate that browsers meet."""

    server_name: ServerNameOption = None
    listen: ListenOption = None
    http_port: HttpPortOption = 80
    certificate: CertificateOption = ""
    key: KeyOption = ""


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """Options that open the HTTP API to the outside, or close it."""

    api: ApiOption = "public"
    api_from: ApiFromOption = None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Options that every command has: the configuration to read, and where the files go."""

    config: ConfigOption = None
    write: WriteOption = False
    force: ForceOption = False
    root: RootOption = None


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return ``command`` with each parameter that is a group above replaced by the options of the group.

    Typer reads options from a function's signature and knows no groups.
    """
    groups: dict[str, type[Any]] = {}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        annotation = parameter.annotation
        if inspect.isclass(annotation) and is_dataclass(annotation):
            groups[parameter.name] = annotation
            options += _options_of(annotation)
        else:
            options.append(parameter)

    @wraps(command)
    def run(**given: Any) -> None:
        filled = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**filled, **given)

    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]
