"""Faults of the machine, set up for real: each is named rightly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from soundpost.config.settings import ScalingSettings, Settings
from soundpost.tools.doctor import CheckPlan, timeouts
from soundpost.tools.doctor.service_files import Service, service_here
from support.doctor_stage import PAGE, SCENES, Scene, Stage, codes, examined, place, scene, scenes_of, stage
from support.harness import RunningServer
from support.redis_process import running_redis

SUPERVISOR = """\
[supervisord]
minfds=20000
[program:soundpost]
command=/opt/soundpost/bin/soundpost start
directory={folder}
user=nobody
stdout_logfile=/var/log/supervisor/soundpost.log
"""


@pytest.fixture(name="on")
def _stage(tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(timeouts, "CONNECT", 1.5)
    with stage(tmp_path, server) as made:
        yield made


@scene("server-not-running", "a configured server that was not started")
def _(on: Stage) -> CheckPlan:
    return CheckPlan(inside=place(on.closed_port()), settings=Settings())


@scene("port-in-use", "a configured server whose port another web server has")
def _(on: Stage) -> CheckPlan:
    return CheckPlan(inside=place(on.nginx(f"location / {{ {PAGE} }}")), settings=Settings())


@scene("file-unreadable", "a `soundpost.toml` that the user of Supervisor's program may not read")
def _(on: Stage) -> CheckPlan:
    on.file("etc/supervisor/conf.d/soundpost.conf", SUPERVISOR.format(folder=on.folder))
    toml = on.file("soundpost.toml", "")
    toml.chmod(0o600)
    inside = place(on.closed_port())
    return CheckPlan(inside=inside, settings=Settings(), server_files=(toml,), etc=on.folder / "etc")


@scene("open-files-too-low", "a running server that is to bear ten million connections")
def _(on: Stage) -> CheckPlan:
    return CheckPlan(inside=place(on.server.port), settings=Settings(), connections=10_000_000)


@scene("redis-unreachable", "a configured Redis that does not run")
def _(on: Stage) -> CheckPlan:
    return with_redis(on, f"redis://127.0.0.1:{on.closed_port()}")


@scene("redis-unreachable", "a configured Redis with TLS that speaks plainly")
def _(on: Stage) -> CheckPlan:
    return with_redis(on, on.stack.enter_context(running_redis()).url.replace("redis:", "rediss:"))


@scene("redis-login-failed", "a Redis with a password, configured without one")
def _(on: Stage) -> CheckPlan:
    return with_redis(on, on.stack.enter_context(running_redis("--requirepass", "s3cret")).url)


@scene("configuration-warning", "a configuration that works, but says something else than it seems to")
def _(on: Stage) -> CheckPlan:
    return CheckPlan(
        inside=place(on.server.port), settings=Settings(), config_warnings=("SOUNDPOST_PORT is not the server's",)
    )


def with_redis(on: Stage, url: str) -> CheckPlan:
    return CheckPlan(inside=place(on.server.port), settings=Settings(scaling=ScalingSettings(redis=url)))


@scenes_of(__name__)
def test_a_fault_is_named(on: Stage, set_up: Scene) -> None:
    assert codes(examined(set_up.build(on))) == [set_up.code] or set_up.code in codes(examined(set_up.build(on)))


def test_the_running_server_s_own_limit_counts(on: Stage) -> None:
    examination = examined(CheckPlan(inside=place(on.server.port), settings=Settings(), connections=10_000_000))
    (step,) = [step for step in examination.steps if step.code == "open-files-too-low"]
    assert step.message.startswith("the server (process ")


def test_a_machine_that_is_fit(on: Stage) -> None:
    with running_redis() as redis:
        plan = with_redis(on, redis.url)
        examination = examined(plan)
    assert codes(examination) == []
    assert [step.name for step in examination.steps if step.status == "ok"][-1] == "Redis"


def test_a_file_that_the_user_of_the_service_may_not_read_is_a_warning(on: Stage) -> None:
    (scene,) = [each for each in SCENES if each.code == "file-unreadable"]
    steps = {step.code: step for step in examined(scene.build(on)).steps}
    assert steps["file-unreadable"].status == "warning"
    assert f"'chown nobody {on.folder}/soundpost.toml'" in (steps["file-unreadable"].fix or "")
    assert "'tail -n 50 /var/log/supervisor/soundpost.log'" in (steps["server-not-running"].fix or "")


def test_the_log_of_a_service_of_systemd(tmp_path: Path) -> None:
    unit = tmp_path / "systemd/system/soundpost.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nUser=nobody\nExecStart=/opt/bin/soundpost start --config /srv/a.toml\n")
    assert service_here([Path("/srv/a.toml")], tmp_path) == Service("nobody", "journalctl -u soundpost -n 50")
    assert service_here([Path("/srv/b.toml")], tmp_path) is None
    assert service_here([Path("/srv/a.toml")], tmp_path / "nowhere") is None
