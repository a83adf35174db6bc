"""Command ``soundpost webhooks test``: examples of events to the endpoints of an application, and what came back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from soundpost.errors import ConfigurationError
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
    from pathlib import Path

    from soundpost.core.app_settings import WebhookSettings
    from soundpost.tools.doctor.findings import FaultFound
    from soundpost.tools.doctor.webhook_call import WebhookCall

_FOR_ONE_EVENT: Final = ("webhook-failed", "webhook-refused-request", "webhook-answered-by-page", "webhook-timeout")
"""Faults that one handler can have: the other events are sent all the same."""


class TriedEndpoint(NamedTuple):
    """Endpoint to try, with its events and the patterns of their channels."""

    call: WebhookCall
    events: tuple[str, ...]
    channels: tuple[str, ...]


class Attempt(NamedTuple):
    """Result of one event: status and text of the answer, and the fault that the answer shows."""

    app_id: str
    url: str
    event: str
    status: int | None
    """HTTP status of the answer; None without an answer."""
    milliseconds: int
    answer: str
    fault: FaultFound | None

    @property
    def code(self) -> str | None:
        """The id of the fault; None without one."""
        return None if self.fault is None else self.fault.code

    @property
    def failed(self) -> bool:
        """True if the endpoint did not take the event."""
        return self.fault is not None and self.fault.fault.severity == "fault"


def send_examples(
    url: Annotated[
        str | None,
        typer.Option(help="Address of an endpoint.", show_default="all that are configured"),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(help="Name of an event; may be repeated.", show_default="all events of the endpoint"),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(help="Channel of the examples.", show_default="one that the endpoint's patterns match"),
    ] = None,
    user_id: Annotated[str, typer.Option(help="User of the examples.")] = "example-user",
    insecure: Annotated[bool, typer.Option("--insecure", help="Accept any TLS certificate.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event.")] = False,
    app_id: AppIdOption = None,
    key: KeyOption = None,
    secret: SecretOption = None,
    config: ConfigOption = None,
) -> None:
    """Send an example of each event to the endpoints of an application, and explain the answers.

    Each example is signed with the app's secret, and sent as the server sends it, from this machine. The handlers of
    the application run: the user is example-user, channels have names such as presence-example, unless options name
    others. No server needs to run. Exit code 1 if an endpoint did not take an event, if nothing was sent, or
    if an event that --event names was sent to no endpoint.

    \b
    [bold]Examples[/]
    soundpost webhooks test
    soundpost webhooks test --url http://127.0.0.1:8000/broadcasting/webhooks
    soundpost webhooks test --event member_added --channel presence-room.5 --user-id 7
    """
    from soundpost.tools.cli.webhook_examples import example

    wanted = _events(event or [])
    failed = False
    sent, impossible = set(), set()
    for endpoint in _endpoints(url, TargetOptions(None, None, None, None, None, app_id, key, secret, config)):
        endpoint = endpoint._replace(call=endpoint.call._replace(verify=not insecure))
        if not json:
            typer.secho(printable(f"app {endpoint.call.app_id}: {endpoint.call.shown}"), bold=True)
        for name in wanted or endpoint.events:
            patterns = endpoint.channels if channel is None else (channel,)
            body = example(name, patterns, user_id)
            if body is None:
                _say(f"  - {name}: not sent: no channel of {', '.join(patterns)} can have it")
                impossible.add(name)
                continue
            sent.add(name)
            attempt = _attempt(endpoint.call, name, body)
            typer.echo(_as_json(attempt) if json else "\n".join(_lines(attempt)))
            failed |= attempt.failed
            if attempt.code is not None and attempt.code not in _FOR_ONE_EVENT:
                break
    if failed or not sent or (wanted and impossible - sent):
        raise typer.Exit(1)


def _events(names: list[str]) -> tuple[str, ...]:
    from soundpost.core.webhooks import MORE_EVENTS, PUSHER_EVENTS
    from soundpost.suggestions import did_you_mean

    known = PUSHER_EVENTS + MORE_EVENTS
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"; known are {', '.join(known)}")
            raise typer.BadParameter(f"--event {name}: no webhook has this name{hint}")
    return tuple(dict.fromkeys(names))


def _endpoints(url: str | None, options: TargetOptions) -> Iterator[TriedEndpoint]:
    """Yield the endpoint at ``url``, or else the configured ones. Raises ConfigurationError without any."""
    from soundpost.core.app_settings import WebhookSettings
    from soundpost.tools.doctor.webhook_call import WebhookCall
    from soundpost.tools.doctor.webhook_check import call_of

    if url is not None:
        _check_url(url)
        target = resolve(options, needs=("key", "secret"))
        known = _configured(options.config, target.key, url) or WebhookSettings(url=url)
        call = WebhookCall(target.app_id, target.key, target.secret, url, known.headers, known.timeout)
        yield TriedEndpoint(call, known.events, known.channels)
        return
    if options.key or options.secret:
        raise typer.BadParameter("--key and --secret are for an endpoint at --url: configured ones have their app's")
    from soundpost.tools.cli.calling_application import load_here

    apps = [app for app in load_here(options.config).settings.apps if options.app_id in (None, app.id)]
    if not any(app.webhooks for app in apps):
        whose = "no app here" if options.app_id is None else f"no configured app {options.app_id}"
        raise ConfigurationError(
            f"{whose} has webhooks: write [[apps.webhooks]] with a url below the lines of an app in soundpost.toml, "
            "or give --url"
        )
    for app in apps:
        for endpoint in app.webhooks:
            yield TriedEndpoint(call_of(app, endpoint, verify=True), endpoint.events, endpoint.channels)


def _check_url(url: str) -> None:
    from soundpost.wire.addresses import AddressError, check_endpoint_url

    try:
        check_endpoint_url(url)
    except AddressError as error:
        raise typer.BadParameter(f"--url {error}") from None


def _configured(config: Path | None, key: str, url: str) -> WebhookSettings | None:
    """Return the configured endpoint of an app with this URL; None if there is none."""
    from soundpost.tools.cli.calling_application import load_here

    try:
        apps = load_here(config).settings.apps
    except ConfigurationError:
        return None
    return next((each for app in apps if app.key == key for each in app.webhooks if each.url == url), None)


def _attempt(call: WebhookCall, name: str, body: bytes) -> Attempt:
    from soundpost.tools.doctor.findings import FaultFound
    from soundpost.tools.doctor.webhook_faults import answer_fault, answer_text, connection_fault
    from soundpost.wire.webhook_request import event_text

    now = int(time.time() * 1000)
    began = time.monotonic()
    status, answer = None, ""
    fault: FaultFound | None = None
    try:
        response = call.send([event_text(body, now, f"test-{secrets.token_hex(8)}")], now)
        status, answer = response.status, answer_text(response) if response.body.strip() else ""
        fault = answer_fault(call, response)
    except FaultFound as found:
        fault = connection_fault(call, found)
    milliseconds = round((time.monotonic() - began) * 1000)
    return Attempt(call.app_id, call.shown, name, status, milliseconds, answer, fault)


def _lines(attempt: Attempt) -> list[str]:
    status = "no answer" if attempt.status is None else f"{attempt.status} {_phrase(attempt.status)}"
    sign, colour = ("x", "red") if attempt.failed else ("+", "green") if attempt.fault is None else ("!", "yellow")
    line = f"{attempt.event:<20} {status:<22} {attempt.milliseconds:>5} ms  {attempt.answer}"
    lines = [f"  {typer.style(sign, fg=colour)} {printable(line.rstrip())}"]
    if attempt.fault is not None:
        lines.append(printable(f"      {attempt.fault.message}"))
        lines.append(typer.style(f"      [{attempt.code}] {attempt.fault.fault.docs}", fg=colour))
        lines.append(printable(f"      > {attempt.fault.fix}"))
        if attempt.code == "webhook-failed":
            lines.append("      > Its handlers may know no such user or channel: --user-id and --channel name yours.")
    return lines


def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _as_json(attempt: Attempt) -> str:
    from soundpost.wire.json_text import encode

    fields = {**attempt._asdict(), "fault": attempt.code}
    if attempt.fault is not None:
        fields |= {"message": attempt.fault.message, "fix": attempt.fault.fix}
    return printable(encode(fields).decode())


def _say(text: str) -> None:
    typer.secho(printable(text), dim=True, err=True)
