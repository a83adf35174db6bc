"""The command ``soundpost trigger``, which publishes an event from the shell."""

from __future__ import annotations

import sys
from typing import Annotated, Final

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
    Target,
    TargetOptions,
    UrlOption,
    resolve,
)
from soundpost.wire.printable import printable
from soundpost.wire.socket_id import fault

_TIMEOUT: Final = 10.0
"""Seconds for the whole request."""


def trigger(
    channel: Annotated[str, typer.Argument(help="Channel to publish to.")],
    event: Annotated[str, typer.Argument(help="Name of the event.")],
    data: Annotated[str, typer.Argument(help="Data of the event, sent unchanged; - reads it from stdin.")] = "{}",
    socket_id: Annotated[
        str | None, typer.Option(help="Socket id of a connection that should not get the event.")
    ] = None,
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
    """Publish an event, to this or any other server with the Pusher HTTP API.

    DATA is sent as it stands, as Pusher's SDKs send a string: clients that get JSON decode it, others see the text.
    The answer says to which server the event went, and how many are subscribed to the channel there.

    \b
    [bold]Examples[/]
    soundpost trigger my-channel my-event '{"hello": "world"}'
    date | soundpost trigger clock tick -
    soundpost trigger orders shipped --url https://example.com --config app.toml
    """
    from soundpost.tools.cli.event_data import read_data

    wrong = None if socket_id is None else fault(socket_id)
    if wrong is not None:
        raise typer.BadParameter(wrong, param_hint="--socket-id")
    target = resolve(
        TargetOptions(url, host, port, scheme, path, app_id, key, secret, config), needs=("app_id", "key", "secret")
    )
    text = sys.stdin.read().removesuffix("\n") if data == "-" else data
    _check_encrypted(channel, text)
    published, *remarks = _publish(target, channel, event, text, socket_id, verify=not insecure)
    remarks += [_for_this_run()] if target.for_this_run else []
    typer.echo(printable(published))
    for remark in (*read_data(text)[1], *remarks):
        typer.secho(printable(remark), fg=typer.colors.YELLOW, err=True)


def _publish(target: Target, channel: str, event: str, text: str, socket_id: str | None, *, verify: bool) -> list[str]:
    """Publish an event; return the result in words, and remarks. Raises RequestError."""
    from soundpost.broadcasting.drivers.http import HttpDriver
    from soundpost.broadcasting.message import Message
    from soundpost.tools.cli.reach import lines, publish

    driver = HttpDriver.at(target.base_url, target.app_id, target.key, target.secret, timeout=_TIMEOUT, verify=verify)
    try:
        reach = publish(driver, Message((channel,), event, text, socket_id))
        return list(lines(event, channel, target.base_url, reach))
    except BroadcastError as error:
        raise RequestError(error.status, error.reason) from None  # the command line has named the event
    finally:
        driver.close()


def _for_this_run() -> str:
    from soundpost.invocation import soundpost_command

    return (
        "This server made credentials for this run only, and applications do not have them. To keep credentials: "
        f"{soundpost_command()} init, then start the server again"
    )


def _check_encrypted(channel: str, data: str) -> None:
    """Refuse plain data on an encrypted channel: its subscribers can read only data that the application encrypted."""
    from soundpost.wire.channel_names import kind_of
    from soundpost.wire.foreign import object_in

    if not kind_of(channel).is_encrypted:
        return
    encrypted = object_in(data)
    if encrypted is None or not {"nonce", "ciphertext"} <= encrypted.keys():
        raise typer.BadParameter(
            f"{channel} is an encrypted channel: its events are encrypted by the application, with its master key; "
            'DATA must be {"nonce": …, "ciphertext": …}'
        )
