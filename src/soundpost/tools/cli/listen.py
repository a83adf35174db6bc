"""Command ``soundpost listen``: print events as they come."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from soundpost.errors import RequestError, SubscriptionError
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
    Target,
    TargetOptions,
    UrlOption,
    resolve,
)
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from soundpost.client.authorization import Authorize
    from soundpost.client.client import Client
    from soundpost.client.subscription import Subscription
    from soundpost.tools.cli.event_lines import EventLines

_HISTORY = "History (channels whose events the server keeps)"
_AUTHORIZATION = "Authorization (default: sign with the app's secret)"


class _StartPosition(TypedDict):
    """Start of subscriptions: arguments of ``Client.subscribe``."""

    after: str | None
    rewind: int | None


def listen(
    channels: Annotated[list[str], typer.Argument(help="Channels to subscribe to.", metavar="CHANNEL...")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event.")] = False,
    count: Annotated[int | None, typer.Option(help="Stop after this many events.", min=1, show_default="never")] = None,
    user_id: Annotated[
        str | None, typer.Option(help="User id on presence channels.", show_default="soundpost-listen-PID")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            help="Begin after this position of the channel: missed events come first.",
            metavar="POSITION",
            rich_help_panel=_HISTORY,
            show_default=False,
        ),
    ] = None,
    rewind: Annotated[
        int | None,
        typer.Option(
            help="Number of last events of each channel to begin with.",
            min=1,
            rich_help_panel=_HISTORY,
            show_default=False,
        ),
    ] = None,
    url: UrlOption = None,
    host: HostOption = None,
    port: PortOption = None,
    scheme: SchemeOption = None,
    path: PathOption = None,
    insecure: InsecureOption = False,
    key: KeyOption = None,
    secret: SecretOption = None,
    app_id: AppIdOption = None,
    config: ConfigOption = None,
    auth_endpoint: Annotated[
        str | None,
        typer.Option(
            help="Ask an application, at an address such as https://example.com/broadcasting/auth, in place of the "
            "app's secret.",
            rich_help_panel=_AUTHORIZATION,
            show_default=False,
        ),
    ] = None,
    bearer: Annotated[
        str | None,
        typer.Option(help="Token for the application.", rich_help_panel=_AUTHORIZATION, show_default=False),
    ] = None,
) -> None:
    """Print events as they come, one per line, until Ctrl-C; from this or any other Pusher-compatible server.

    Private and presence channels need the app's secret, or an application to ask (--auth-endpoint). Events go to
    stdout, everything else to stderr. The command reconnects when the connection is lost. On channels with a history
    it then prints the missed events, and soundpost:gap where events are lost. At the end it prints the position of
    each such channel, for --after. --count counts events of applications and clients, not pusher:… and soundpost:gap.

    \b
    [bold]Examples[/]
    soundpost listen orders private-invoices presence-lobby
    soundpost listen orders --json --count 1 | jq -r '.data | fromjson | .id'
    soundpost listen orders --after g7Qx.1795887678285000
    soundpost listen orders --url https://ws.example.com --key k
    soundpost listen private-orders --auth-endpoint https://example.com/broadcasting/auth --bearer "$TOKEN"
    """
    from soundpost.tools.cli.event_lines import EventLines
    from soundpost.wire.channel_names import kind_of

    if bearer and not auth_endpoint:
        raise typer.BadParameter("--bearer is for an application: give --auth-endpoint too")
    if auth_endpoint and user_id:
        raise typer.BadParameter("--user-id: with --auth-endpoint the application says who you are")
    wanted = list(dict.fromkeys(channels))
    start_position = _start_position(wanted, after, rewind)
    secretive = not auth_endpoint and any(kind_of(channel).needs_auth for channel in channels)
    target = resolve(
        TargetOptions(url, host, port, scheme, path, app_id, key, secret, config),
        needs=("key", "secret") if secretive else ("key",),
    )
    lines = EventLines(as_json=json)
    auth: Authorize | None = None
    if auth_endpoint:
        from soundpost.client.auth_endpoint import from_endpoint

        auth = from_endpoint(auth_endpoint, bearer=bearer, verify=not insecure)
    elif target.secret:
        from soundpost.client.authorization import with_secret

        auth = with_secret(target.key, target.secret, user_id=user_id or f"soundpost-listen-{os.getpid()}")
    try:
        listening = _listen(target, wanted, start_position, auth, lines, count, verify=not insecure)
        asyncio.run(_until_stopped(listening))
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # The reader of the output has gone: keep the interpreter from failing over the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _start_position(channels: list[str], after: str | None, rewind: int | None) -> _StartPosition:
    """Return where the subscriptions begin. Raises BadParameter."""
    from soundpost.wire.positions import PositionError, parse_position

    if after is None:
        return {"after": None, "rewind": rewind}
    if rewind is not None:
        raise typer.BadParameter("--after and --rewind each say where to begin: give one of them")
    if len(channels) > 1:
        raise typer.BadParameter("--after is a position of one channel: give one CHANNEL")
    try:
        parse_position(after)
    except PositionError as error:
        raise typer.BadParameter(f"--after: {error}") from None
    return {"after": after, "rewind": None}


async def _until_stopped(listening: Coroutine[Any, Any, None]) -> None:
    """Listen to events until the end; SIGTERM ends the command as cleanly as Ctrl-C does."""
    task = asyncio.ensure_future(listening)
    if sys.platform != "win32":  # where loops have no signal handlers, and processes end without SIGTERM
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _listen(
    target: Target,
    channels: list[str],
    start_position: _StartPosition,
    auth: Authorize | None,
    lines: EventLines,
    count: int | None,
    *,
    verify: bool,
) -> None:
    from soundpost.client.client import Client

    async with Client(target.base_url, target.key, auth=auth, verify=verify, on_status=_say) as client:
        subscriptions: list[Subscription] = []
        for channel in channels:
            subscription = client.subscribe(channel, subscription_events=True, **start_position)
            try:
                _say(f"subscribed to {_described(await subscription)}")
            except SubscriptionError as error:
                raise RequestError(error.status, f"{channel} was refused: {error}") from None
            subscriptions.append(subscription)
        _say(f"listening on {target.base_url} as socket {client.socket_id}; Ctrl-C ends it")
        try:
            await _print_events(client, lines, count)
        finally:
            for subscription in subscriptions:
                if subscription.position is not None:
                    _say(f"{subscription.channel}: go on with --after {subscription.position}")


async def _print_events(client: Client, lines: EventLines, count: int | None) -> None:
    seen = 0
    async for event in client:
        if event.name == "pusher:subscription_succeeded":  # after a reconnection, which on_status has printed
            continue
        if event.name in ("pusher:error", "pusher:subscription_error"):
            typer.secho(lines.text(event), dim=True, err=True)
            continue
        typer.echo(lines.text(event))
        sys.stdout.flush()
        seen += not event.is_protocol
        if seen == count:
            return


def _say(text: str) -> None:
    typer.secho(printable(text), dim=True, err=True)


def _described(subscription: Subscription) -> str:
    more = []
    if subscription.members:
        more.append(f"members: {', '.join(sorted(subscription.members))}")
    if subscription.position is not None:
        more.append(f"position: {subscription.position}")
    return f"{subscription.channel} ({'; '.join(more)})" if more else subscription.channel
