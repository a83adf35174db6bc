"""All checks of the doctor in their order."""

from __future__ import annotations

from typing import Final

from soundpost.tools.doctor import timeouts
from soundpost.tools.doctor.backend import check_as_backend
from soundpost.tools.doctor.browser import check_as_browser, with_likely_public
from soundpost.tools.doctor.contradictions import contradictions
from soundpost.tools.doctor.delivery_check import check_delivery
from soundpost.tools.doctor.examination import Check, ContinuingCheck, Examination
from soundpost.tools.doctor.idle_check import check_idle_connection
from soundpost.tools.doctor.machine_check import check_machine
from soundpost.tools.doctor.plan import CheckPlan
from soundpost.tools.doctor.webhook_check import check_webhooks

_SHORT: Final = 2.0
"""Seconds to wait for an answer of a server that hangs."""


def examine(plan: CheckPlan, examination: Examination) -> None:
    """Run every check for which ``plan`` has the addresses and credentials."""
    if plan.files:
        _check_env_files(plan, examination)
    if plan.settings is not None or plan.connections is not None:
        check_machine(plan, examination)
    hangs = any(step.code in ("server-hangs", "worker-hangs") for step in examination.steps)
    with timeouts.at_most(_SHORT if hangs else timeouts.ANSWER):
        _check_connections(plan, examination)
    check_webhooks(plan, examination)


def _check_connections(plan: CheckPlan, examination: Examination) -> None:
    """Run the checks from browser and backend to the server."""
    plan = with_likely_public(plan)
    browser_access = None
    if plan.public is not None and plan.key:
        browser_access = check_as_browser(plan, plan.public, examination)
    api = None
    if plan.backend is not None and plan.can_publish:
        api = check_as_backend(plan, plan.backend, browser_access.base_url if browser_access else None, examination)
    elif plan.public is not None:
        with Check("backend", examination) as check:
            check.skip(
                "API", "app id and secret are not known: give --app-id and --secret to see whether events arrive"
            )
    if browser_access is not None and api is not None:
        check_delivery(plan, browser_access, api, examination)
    if browser_access is not None and plan.slow:
        check_idle_connection(plan, browser_access, examination)


def _check_env_files(plan: CheckPlan, examination: Examination) -> None:
    with ContinuingCheck("env", examination) as check:
        found = contradictions(plan.files, plan.stated_public)
        if plan.settings is not None:  # the rest of the app is in soundpost.toml
            found = [fault for fault in found if fault.code != "env-credentials-missing"]
        for file in plan.files:
            own = [fault for fault in found if str(fault.facts["location"]).partition(": ")[0] == file.label]
            with check.step(file.label) as step:
                step.also_found += own
                step.message = "" if own else "nothing in it contradicts itself"
