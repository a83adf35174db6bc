"""Command ``soundpost webhooks listen``: a receiver of webhooks that prints them, for development."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from soundpost.errors import StartError
from soundpost.tools.cli.target import (
    AppIdOption,
    ConfigOption,
    KeyOption,
    SecretOption,
    TargetOptions,
    resolve,
)
from soundpost.wire.printable import printable

if TYPE_CHECKING:
    from soundpost.tools.cli.webhook_lines import KnownApp, WebhookLines


def listen(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 9000,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event.")] = False,
    count: Annotated[int | None, typer.Option(help="Stop after this many events.", min=1, show_default="never")] = None,
    app_id: AppIdOption = None,
    key: KeyOption = None,
    secret: SecretOption = None,
    config: ConfigOption = None,
) -> None:
    """Receive webhooks on 127.0.0.1 and print their events, one per line, until Ctrl-C. For development.

    Signatures are verified with the secrets of the apps configured here, or of the server that runs here. A request
    with another signature is answered with 401; stderr has the reason. Events go to stdout. An event with an id that
    was printed before is marked as sent again.

    \b
    [bold]Examples[/]
    soundpost webhooks listen
    soundpost webhooks listen --port 9001 --json | jq -r '.event.channel'
    """
    from soundpost.tools.cli.webhook_lines import WebhookLines

    options = TargetOptions(None, None, None, None, None, app_id, key, secret, config)
    apps = _apps(options)
    lines = WebhookLines(apps, as_json=json)
    try:
        asyncio.run(_receive(port, lines, apps, options, count))
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # The reader of the output has gone: keep the interpreter from failing over the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _apps(options: TargetOptions) -> dict[str, KnownApp]:
    """Return the apps whose webhooks are expected, by their keys: one that options name, or all that are configured."""
    from soundpost.tools.cli.calling_application import load_here
    from soundpost.tools.cli.webhook_lines import KnownApp

    if options.key and options.secret:
        return {options.key: KnownApp(options.app_id or "", options.secret)}
    target = resolve(options, needs=("key", "secret"))
    apps = {target.key: KnownApp(target.app_id, target.secret)}
    if options.app_id or options.key or options.secret or target.for_this_run:
        return apps
    return apps | {app.key: KnownApp(app.id, app.secret) for app in load_here(options.config).settings.apps}


async def _receive(
    port: int, lines: WebhookLines, apps: dict[str, KnownApp], options: TargetOptions, count: int | None
) -> None:
    """Receive until SIGTERM, or until ``count`` events came. Raises StartError if the port is taken."""
    from soundpost.server.admin_http import AdminConnection, AdminRequest, AdminResponse

    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop(error: BaseException | None = None) -> None:
        if not stopped.done():
            stopped.set_result(None) if error is None else stopped.set_exception(error)

    def handle(request: AdminRequest) -> AdminResponse:
        try:
            answer = lines.handle(request)
        except BrokenPipeError as error:
            stop(error)
            return AdminResponse(503, b"the reader of the output has gone")
        if count is not None and lines.seen >= count:
            loop.call_soon(stop)
        return answer

    if sys.platform != "win32":  # where loops have no signal handlers, and processes end without SIGTERM
        loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        server = await loop.create_server(lambda: AdminConnection(handle), "127.0.0.1", port)
    except OSError as error:
        raise StartError(f"port {port} of 127.0.0.1 cannot be used: {error.strerror}: choose one with --port") from None
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for line in _advice(url, apps, options):
            typer.secho(printable(line), dim=True, err=True)
        await stopped


def _advice(url: str, apps: dict[str, KnownApp], options: TargetOptions) -> list[str]:
    """Return where the receiver listens, and the lines that make a server send its webhooks there."""
    from soundpost.environment.toml_document import FILE_NAME
    from soundpost.errors import ConfigurationError
    from soundpost.tools.cli.calling_application import load_here

    lines = [f"listening on {url} for app {', '.join(app.id or key for key, app in apps.items())}; Ctrl-C ends it"]
    try:
        loaded = load_here(options.config)
    except ConfigurationError:
        return lines
    receiving = [app.id for app in loaded.settings.apps if any(_is_here(each.url, url) for each in app.webhooks)]
    if receiving:
        return [*lines, f"app {', '.join(receiving)} sends its webhooks here"]
    file = options.config or FILE_NAME
    if loaded.generated:
        instruction = f"no app is configured here: 'soundpost init' writes {file}. To get webhooks, add to it:"
    else:
        instruction = f"to get webhooks, write into {file} below the lines of the app, and call 'soundpost reload':"
    return [*lines, instruction, *_table(url)]


def _table(url: str) -> list[str]:
    return ["    [[apps.webhooks]]", f'    url = "{url}"']


def _is_here(configured: str, url: str) -> bool:
    from urllib.parse import urlsplit

    here, there = urlsplit(url), urlsplit(configured)
    return there.hostname in ("127.0.0.1", "localhost") and there.port == here.port
