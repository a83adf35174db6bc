"""All walks in their order."""

from __future__ import annotations

from soundpost.tools.doctor.backend import as_a_backend
from soundpost.tools.doctor.browser import as_a_browser
from soundpost.tools.doctor.contradictions import contradictions
from soundpost.tools.doctor.delivery_check import full_circle
from soundpost.tools.doctor.examination import Examination, Round, Walk
from soundpost.tools.doctor.idle_check import stay_silent
from soundpost.tools.doctor.machine_check import this_machine
from soundpost.tools.doctor.plan import Plan


def examine(plan: Plan, examination: Examination) -> None:
    """Take all steps that ``plan`` has what is needed for."""
    if plan.files:
        _settings(plan, examination)
    if plan.settings is not None or plan.connections is not None:
        this_machine(plan, examination)
    entrance = None
    if plan.public is not None and plan.key:
        entrance = as_a_browser(plan, plan.public, examination)
    api = None
    if plan.backend is not None and plan.can_publish:
        api = as_a_backend(plan, plan.backend, entrance.place if entrance else None, examination)
    elif plan.public is not None:
        with Walk("backend", examination) as walk:
            walk.skip("API", "app id and secret are not known: give --app-id and --secret to see whether events arrive")
    if entrance is not None and api is not None:
        full_circle(plan, entrance, api, examination)
    if entrance is not None and plan.slow:
        stay_silent(plan, entrance, examination)


def _settings(plan: Plan, examination: Examination) -> None:
    with Round("settings", examination) as walk:
        found = contradictions(plan.files, plan.given_public)
        if plan.settings is not None:  # the rest of the app is in soundpost.toml
            found = [fault for fault in found if fault.code != "env-credentials-missing"]
        for file in plan.files:
            own = [fault for fault in found if str(fault.facts["place"]).partition(": ")[0] == file.label]
            with walk.step(file.label) as step:
                step.others += own
                step.message = "" if own else "nothing in it contradicts itself"
