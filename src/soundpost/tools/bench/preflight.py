"""The preflight of a run: one connection and one event, so that a wrong address or secret is one clear error."""

from __future__ import annotations

import asyncio
from typing import Final

from soundpost.broadcasting.drivers.http import HttpDriver
from soundpost.broadcasting.message import Message
from soundpost.client.authorization import with_secret
from soundpost.client.client import Client
from soundpost.errors import BroadcastError, RequestError, SubscriptionError
from soundpost.tools.bench.messages import Endpoint
from soundpost.tools.bench.payload import EVENT_NAME
from soundpost.tools.bench.scenario import BenchSettings

_TIMEOUT: Final = 15.0
"""Seconds; a client by itself would reconnect for ever."""
_PUBLISH_TIMEOUT: Final = 10.0
"""Seconds for the whole request."""


async def try_once(settings: BenchSettings, endpoint: Endpoint) -> None:
    """Subscribe to a channel of the scenario's kind, and publish an event of the wanted size there.

    Raises RequestError and ConnectionRefused.
    """
    # Not a channel of the run, or the run would start with an event and a member too many.
    channel = settings.channel(settings.channels)
    authorize = with_secret(endpoint.key, endpoint.secret, user_id="bench-preflight")
    statuses = ["it does not answer"]
    async with Client(
        endpoint.base_url, endpoint.key, auth=authorize, verify=endpoint.verify, on_status=statuses.append
    ) as client:
        try:
            async with asyncio.timeout(_TIMEOUT):
                await client.subscribe(channel)
        except TimeoutError:
            raise RequestError(0, f"no subscription to {channel} within {_TIMEOUT:.0f} s: {statuses[-1]}") from None
        except SubscriptionError as error:
            raise RequestError(error.status, f"{channel} was refused: {error}") from None
        if settings.publishes:
            await _publish(endpoint, Message((channel,), EVENT_NAME, "x" * settings.size))


async def _publish(endpoint: Endpoint, message: Message) -> None:
    driver = HttpDriver.at(
        endpoint.base_url,
        endpoint.app_id,
        endpoint.key,
        endpoint.secret,
        timeout=_PUBLISH_TIMEOUT,
        verify=endpoint.verify,
    )
    try:
        await driver.asend([message])
    except BroadcastError as error:
        raise RequestError(error.status, error.reason) from None  # the event is one of this tool's own
    finally:
        await driver.aclose()
