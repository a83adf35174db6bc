"""Check of a backend's access: connection, signed API request, clock."""

from __future__ import annotations

from soundpost.tools.doctor.api import DRIFT, AcceptedRequest, Api, clock_fault
from soundpost.tools.doctor.base_url import BaseUrl
from soundpost.tools.doctor.causes import backend_cause, is_public
from soundpost.tools.doctor.connecting import open_in_steps
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.examination import Check, Examination
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.plan import CheckPlan


def check_as_backend(
    plan: CheckPlan, base_url: BaseUrl, outside: BaseUrl | None, examination: Examination
) -> Api | None:
    """Check as a backend and return the API; None after a fault.

    ``outside`` is the base URL at which browsers get in, if they do.
    """
    api = Api(base_url, plan)
    with Check("backend", examination, base_url, lambda found: backend_cause(found, plan, base_url)) as check:
        open_in_steps(check, base_url, plan).close()
        with check.step("API") as step:
            accepted = api.request_channels()
            step.message = f"{base_url.path}/apps/{plan.app_id} takes the signature"
            step.also_found += _through_proxy(plan, base_url)
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
    """Note whether the API answers at the public URL. Either is fine: the owner decides."""
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
    """Return the fault of a ``REVERB_SERVER_PATH`` without a slash at its end: Laravel publishes elsewhere."""
    env = EnvSettings(plan.files)
    value = env.named("REVERB_SERVER_PATH")
    if value is None or env.named("BROADCAST_CONNECTION", "BROADCAST_DRIVER") is None:
        return []
    prefix = value.text.strip()
    if not base_url.path or prefix.endswith("/") or prefix.strip("/") != base_url.path.strip("/"):
        return []
    without = base_url._replace(path=base_url.path.rpartition("/")[0])
    try:
        Api(without, plan).request_channels()
    except FaultFound as found:
        asked = f"{without.path}/apps/{plan.app_id}"
        return [
            FaultFound(
                "laravel-path-without-slash", location=value.location, value=prefix, asked=asked, reason=found.message
            )
        ]
    return []


def _through_proxy(plan: CheckPlan, base_url: BaseUrl) -> list[FaultFound]:
    """Return a warning if the backend publishes through the proxy though the API answers inside."""
    inside = plan.inside
    if inside is None or inside.unix_socket or not is_public(base_url, plan):
        return []
    is_reachable = Api(inside, plan).accepts_requests()
    return [FaultFound("backend-through-proxy", url=base_url.url, **inside.facts)] if is_reachable else []
