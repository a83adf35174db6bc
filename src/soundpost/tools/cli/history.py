"""Command ``soundpost history``: print or delete the kept events of a channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from soundpost.errors import BroadcastError, RequestError
from soundpost.tools.cli.target import (
    AppIdOption,
    ConfigOption,
    HostOption,
    InsecureOption,
    KeyOption,
    PathOption,
    PortOption,
    SchemeOption,
    SecretOption,
    TargetOptions,
    UrlOption,
    resolve,
)
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from soundpost.broadcasting.drivers.http import HttpDriver

_TIMEOUT: Final = 10.0
"""Seconds for each request."""
_PAGE: Final = 1_000
"""Largest number of events that a server gives in one answer."""


def history(
    channel: Annotated[str, typer.Argument(help="Channel; with --delete also a pattern, such as 'orders.*'.")],
    after: Annotated[
        str | None, typer.Option(help="Only events after this position.", metavar="POSITION", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(help="Largest number of events.", min=1)] = 100,
    newest_first: Annotated[bool, typer.Option("--newest-first", help="Begin with the newest event.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the kept events.")] = False,
    url: UrlOption = None,
    host: HostOption = None,
    port: PortOption = None,
    scheme: SchemeOption = None,
    path: PathOption = None,
    insecure: InsecureOption = False,
    app_id: AppIdOption = None,
    key: KeyOption = None,
    secret: SecretOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the kept events of a channel, one per line: position, event, data. With --delete, delete them.

    Channels keep events if [[apps.history]] of the app in soundpost.toml names them. Events go to stdout, everything
    else to stderr. Data of encrypted channels stays encrypted. Clients that resume from a position before a deletion
    get a gap.

    \b
    [bold]Examples[/]
    soundpost history news
    soundpost history news --after g7Qx.1795887678285000 --json | jq -r .position
    soundpost history private-orders.7 --newest-first --limit 1
    soundpost history 'private-encrypted-*' --delete
    """
    from soundpost.broadcasting.drivers.http import HttpDriver

    if delete and (after is not None or newest_first or json):
        raise typer.BadParameter(
            "--delete deletes all events of the channel: leave out --after, --newest-first, --json"
        )
    target = resolve(
        TargetOptions(url, host, port, scheme, path, app_id, key, secret, config), needs=("app_id", "key", "secret")
    )
    driver = HttpDriver.at(
        target.base_url, target.app_id, target.key, target.secret, timeout=_TIMEOUT, verify=not insecure
    )
    try:
        if delete:
            typer.echo(printable(_delete(driver, channel)))
            return
        for line in _lines(driver, channel, after, limit, newest_first=newest_first, as_json=json):
            typer.echo(line)
    except BroadcastError as error:
        raise RequestError(error.status, error.reason) from None
    finally:
        driver.close()


def _delete(driver: HttpDriver, channel: str) -> str:
    """Delete histories; return the result in words. Raises BroadcastError."""
    from soundpost.tools.cli.status import counted

    answer = driver.request("DELETE", _path(channel))
    if "*" not in channel:
        return f"Deleted the kept events of {channel}"
    return f"Deleted the kept events of {counted(int(answer['channels']), 'channel')} that {channel} matches"


def _lines(
    driver: HttpDriver, channel: str, after: str | None, limit: int, *, newest_first: bool, as_json: bool
) -> Iterator[str]:
    """Yield the lines of kept events; say what is missing, and where to go on. Raises BroadcastError."""
    from soundpost.broadcasting.history import history_of, opener
    from soundpost.wire.json_text import encode

    query = {"order": "newest"} if newest_first else {}
    left = limit
    while True:
        position = {} if after is None else {"after": after}
        page = driver.request("GET", _path(channel), {**query, **position, "limit": str(min(left, _PAGE))})
        found = history_of(page, opener(None))
        if found.gap is not None:
            _say(f"events after {after} are not kept any more ({found.gap}); go on after {found.position}")
            return
        for event in found.events:
            line: dict[str, Any] = {"channel": event.channel, "event": event.name, "data": event.json}
            if as_json:
                yield printable(encode({**line, "position": event.position}).decode())
            else:
                yield f"{event.position}  {printable(event.name)}  {printable(event.json)}"
        left -= len(found.events)
        if not found.more or not left or newest_first:
            break
        after = found.position
    if found.more:
        _say(f"there are more: {'give a larger --limit' if newest_first else f'--after {found.position}'}")
    elif left == limit:
        _say(f"{channel} keeps no events{'' if after is None else f' after {after}'}; go on after {found.position}")


def _path(channel: str) -> str:
    from urllib.parse import quote

    return f"/channels/{quote(channel, safe='')}/history"


def _say(text: str) -> None:
    typer.secho(printable(text), dim=True, err=True)
