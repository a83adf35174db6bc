"""Check of the endpoints of webhooks, from this machine: connection, view, signature."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.server.webhooks.addresses import is_public
from soundpost.tools.doctor.connecting import open_in_steps
from soundpost.tools.doctor.examination import Check, Examination
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.network import look_up_addresses
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.webhook_call import WebhookCall
from soundpost.tools.doctor.webhook_faults import answer_fault, connection_fault

_SLOW: Final = 0.25
"""Part of the time to answer after which an endpoint counts as slow."""


def check_webhooks(plan: CheckPlan, examination: Examination) -> None:
    """Send a request without events to each endpoint of the apps that are configured here."""
    for call in _calls(plan):
        with Check("webhooks", examination, call.base_url, partial(_explained, call)) as check:
            _check_address(check, call, plan)
            open_in_steps(check, call.base_url, plan).close()
            _check_view(check, call, plan)


def call_of(app: AppSettings, endpoint: WebhookSettings, *, verify: bool) -> WebhookCall:
    """Return the requests of an app to one of its endpoints."""
    return WebhookCall(app.id, app.key, app.secret, endpoint.url, endpoint.headers, endpoint.timeout, verify)


def _calls(plan: CheckPlan) -> Iterator[WebhookCall]:
    for app in () if plan.settings is None else plan.settings.apps:
        for endpoint in app.webhooks:
            yield call_of(app, endpoint, verify=plan.verify)


def _explained(call: WebhookCall, found: FaultFound) -> FaultFound:
    """Return the fault of an endpoint for one of a connection."""
    is_own = found.code.startswith("webhook-") or found.fault.severity == "warning"
    return found if is_own else connection_fault(call, found)


def _check_address(check: Check, call: WebhookCall, plan: CheckPlan) -> None:
    """Check that the server sends to an address of the endpoint, if ``private_webhooks`` is false."""
    if plan.settings is None or plan.settings.server.private_webhooks:
        return
    with check.step("Address") as step:
        addresses = [str(address) for address in look_up_addresses(call.base_url)]
        if not any(map(is_public, addresses)):
            facts = {"host": call.base_url.host, "address": addresses[0]}
            raise FaultFound("webhook-address-refused", url=call.shown, app_id=call.app_id, **facts)
        step.message = "public, as private_webhooks = false demands"


def _check_view(check: Check, call: WebhookCall, plan: CheckPlan) -> None:
    servers = tuple(each for each in (plan.inside, plan.public, plan.backend) if each is not None)
    now = int(plan.clock() * 1000)
    with check.step("View") as step:
        began = time.monotonic()
        response = call.send([], now)
        seconds = time.monotonic() - began
        fault = answer_fault(call, response, servers)
        if fault is not None and fault.fault.severity == "fault":
            raise fault
        step.message = f"app {call.app_id}: answered {response.status} after {seconds * 1000:.0f} ms"
        step.also_found += [] if fault is None else [fault]
        if seconds > _SLOW * call.timeout:
            facts = {"seconds": f"{seconds:.1f}", "timeout": f"{call.timeout:g}"}
            step.also_found.append(FaultFound("webhook-answer-slow", url=call.shown, **facts))
    with check.step("Signature") as step:
        response = call.send([], now, secrets.token_hex(16))
        if response.status < 300:
            step.also_found.append(FaultFound("webhook-unsigned-taken", url=call.shown))
        else:
            step.message = f"a wrong one is refused with {response.status}"
