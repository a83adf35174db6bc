"""The way of a backend: to the HTTP API, with a signature, by a clock."""

from __future__ import annotations

from soundpost.tools.doctor.api import DRIFT, Api, AcceptedRequest, clock_fault
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.causes import backend_cause, is_public
from soundpost.tools.doctor.connecting import open_in_steps
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.examination import Examination, Check
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan


def check_as_backend(plan: CheckPlan, base_url: BaseUrl, outside: BaseUrl | None, examination: Examination) -> Api | None:
    """Walk; None if a fault was met. ``outside``: where browsers get in, if they do."""
    api = Api(base_url, plan)
    with Check("backend", examination, lambda found: backend_cause(found, plan, base_url)) as check:
        open_in_steps(check, base_url, verify=plan.verify).close()
        with check.step("API") as step:
            accepted = api.request_channels()
            step.message = f"{base_url.path}/apps/{plan.app_id} takes the signature"
            inside = plan.inside
            if inside is not None and not inside.unix_socket and is_public(base_url, plan) and Api(inside, plan).accepts_requests():
                step.also_found.append(_through_proxy_warning(base_url, inside))
            step.also_found += _without_slash(plan, base_url)
        _clock(check, accepted)
        if outside is not None and not (outside.is_same_listener(base_url) and outside.path == base_url.path):
            _from_outside(check, plan, outside)
        return api
    return None


def _clock(check: Check, accepted: AcceptedRequest) -> None:
    skew = accepted.skew
    if skew is None:
        check.skip("Clock", "the server does not tell its time; the signature's is within 600 s of it")
        return
    with check.step("Clock") as step:
        if abs(skew) > DRIFT:
            step.also_found.append(clock_fault("clock-drift", skew))
        else:
            step.message = "differs from the server's by less than a second" if abs(skew) < 1 else f"{abs(skew):.0f} s"


def _from_outside(check: Check, plan: CheckPlan, public: BaseUrl) -> None:
    """Whether the API can be used from anywhere is the owner's choice: both are well."""
    try:
        Api(public, plan).request_channels()
    except FaultFound as found:
        check.skip(
            "API outside", f"not for use through {public.url}, which is fine: this backend is inside ({found.code})"
        )
    else:
        with check.step("API outside") as step:
            step.message = f"{public.url} forwards it too: applications elsewhere can publish"


def _without_slash(plan: CheckPlan, base_url: BaseUrl) -> list[FaultFound]:
    """Return whether Laravel is told of a path prefix in a form that it publishes without."""
    told = EnvSettings(plan.files)
    value = told.named("REVERB_SERVER_PATH")
    if value is None or told.named("BROADCAST_CONNECTION", "BROADCAST_DRIVER") is None:
        return []
    prefix = value.text.strip()
    if not base_url.path or prefix.endswith("/") or prefix.strip("/") != base_url.path.strip("/"):
        return []
    without = base_url._replace(path=base_url.path.rpartition("/")[0])
    try:
        Api(without, plan).request_channels()
    except FaultFound as found:
        asked = f"{without.path}/apps/{plan.app_id}"
        return [FaultFound("laravel-path-without-slash", place=value.base_url, value=prefix, asked=asked, reason=found.message)]
    return []


def _through_proxy_warning(base_url: BaseUrl, inside: BaseUrl) -> FaultFound:
    return FaultFound("backend-through-proxy", url=base_url.url, **inside.facts)
