"""Addresses that the doctor finds, and the ones that nothing says: each fault is named rightly."""

from __future__ import annotations

from soundpost.config.settings import Settings
from soundpost.tools.doctor import CheckPlan
from soundpost.tools.doctor.plan import UnknownPublic
from support.doctor_stage import (
    SCENES,
    Scene,
    Stage,
    assert_named,
    both,
    codes,
    examined,
    place,
    scene,
    scenes_of,
    trusted_stage,
)

__all__ = ["trusted_stage"]


@scene("wrong-address-in-backend", "a backend with another port than the server's, on which nothing listens")
def _(on: Stage) -> CheckPlan:
    inside = place(on.server.port)
    return both(inside, place(on.closed_port()), inside=inside, backend_source="backend.env: SOUNDPOST_PORT")


@scene("public-address-unknown", "a server on 127.0.0.1 with a `hostname`, which has no https")
def _(on: Stage) -> CheckPlan:
    inside, guess = place(on.server.port), place(on.closed_port(), "https")
    return both(inside, inside=inside, unknown_public=UnknownPublic("hostname is localhost", guess))


@scene("placeholder-secret", "`soundpost.toml` with the secret `your-app-secret`")
def _(on: Stage) -> CheckPlan:
    return CheckPlan(inside=place(on.server.port), settings=Settings(), placeholders=("the secret of app 1",))


@scenes_of(__name__)
def test_a_fault_is_named(on: Stage, set_up: Scene) -> None:
    assert_named(examined(set_up.build(on)), set_up.code)


def test_the_place_of_the_wrong_address_is_told(on: Stage) -> None:
    (scene,) = [each for each in SCENES if each.code == "wrong-address-in-backend"]
    (step,) = examined(scene.build(on)).faults
    assert "(backend.env: SOUNDPOST_PORT)" in step.message
    assert f"SOUNDPOST_PORT={on.server.port}" in (step.fix or "")


def test_an_unknown_address_is_a_note_and_the_server_itself_is_examined(on: Stage) -> None:
    inside, guess = place(on.server.port), place(on.closed_port(), "https")
    examination = examined(both(inside, inside=inside, unknown_public=UnknownPublic("hostname is x", guess)))
    assert codes(examination) == ["public-address-unknown"]
    assert not examination.faults
    assert examination.steps[-1].message.startswith("arrived at all of them")
    (note,) = [step for step in examination.steps if step.code]
    assert f"{guess.url} was tried: nothing listens on port {guess.port}" in note.message
    assert f'public_url = "{guess.url}"' in (note.fix or "")


def test_a_likely_address_that_works_is_taken(on: Stage) -> None:
    inside, guess = place(on.server.port), place(on.proxy(tls=on.certificate()), "https")
    examination = examined(both(inside, inside=inside, unknown_public=UnknownPublic("hostname is x", guess)))
    assert codes(examination) == []
    (note,) = [step for step in examination.steps if step.name == "Address"]
    assert note.status == "ok"
    assert f'public_url = "{guess.url}"' in note.message
    assert any(step.name == "API outside" for step in examination.steps)
