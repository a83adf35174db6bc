"""The way of a backend: to the HTTP API, with a signature, by a clock."""

from __future__ import annotations

from soundpost.tools.doctor.api import DRIFT, Api, Checked, clock_fault
from soundpost.tools.doctor.base_url import Place
from soundpost.tools.doctor.causes import backend_cause, is_public
from soundpost.tools.doctor.connecting import reach
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.examination import Examination, Walk
from soundpost.tools.doctor.findings import Found
from soundpost.tools.doctor.plan import Plan


def as_a_backend(plan: Plan, place: Place, outside: Place | None, examination: Examination) -> Api | None:
    """Walk; None if a fault was met. ``outside``: where browsers get in, if they do."""
    api = Api.of(plan, place)
    with Walk("backend", examination, lambda found: backend_cause(found, plan, place)) as walk:
        reach(walk, place, verify=plan.verify).close()
        with walk.step("API") as step:
            checked = api.check()
            step.message = f"{place.path}/apps/{plan.app_id} takes the signature"
            inside = plan.inside
            if inside is not None and not inside.unix_socket and is_public(place, plan) and _answers(plan, inside):
                step.others.append(_roundabout(place, inside))
            step.others += _without_slash(plan, place)
        _clock(walk, checked)
        if outside is not None and not (outside.is_at(place) and outside.path == place.path):
            _from_outside(walk, plan, outside)
        return api
    return None


def _clock(walk: Walk, checked: Checked) -> None:
    skew = checked.skew
    if skew is None:
        walk.skip("Clock", "the server does not tell its time; the signature's is within 600 s of it")
        return
    with walk.step("Clock") as step:
        if abs(skew) > DRIFT:
            step.others.append(clock_fault("clock-drift", skew))
        else:
            step.message = "differs from the server's by less than a second" if abs(skew) < 1 else f"{abs(skew):.0f} s"


def _from_outside(walk: Walk, plan: Plan, public: Place) -> None:
    """Whether the API can be used from anywhere is the owner's choice: both are well."""
    try:
        Api.of(plan, public).check()
    except Found as found:
        walk.skip(
            "API outside", f"not for use through {public.url}, which is fine: this backend is inside ({found.code})"
        )
    else:
        with walk.step("API outside") as step:
            step.message = f"{public.url} forwards it too: applications elsewhere can publish"


def _without_slash(plan: Plan, place: Place) -> list[Found]:
    """Return whether Laravel is told of a path prefix in a form that it publishes without."""
    told = EnvSettings(plan.files)
    value = told.named("REVERB_SERVER_PATH")
    if value is None or told.named("BROADCAST_CONNECTION", "BROADCAST_DRIVER") is None:
        return []
    prefix = value.text.strip()
    if not place.path or prefix.endswith("/") or prefix.strip("/") != place.path.strip("/"):
        return []
    without = place._replace(path=place.path.rpartition("/")[0])
    try:
        Api.of(plan, without).check()
    except Found as found:
        asked = f"{without.path}/apps/{plan.app_id}"
        return [Found("laravel-path-without-slash", place=value.place, value=prefix, asked=asked, reason=found.message)]
    return []


def _answers(plan: Plan, inside: Place) -> bool:
    try:
        Api.of(plan, inside).check()
    except Found:
        return False
    return True


def _roundabout(place: Place, inside: Place) -> Found:
    return Found("backend-through-proxy", url=place.url, **inside.facts)
