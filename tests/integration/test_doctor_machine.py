"""Faults of the machine, set up for real: each is named rightly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from soundpost.config.settings import ScalingSettings, Settings
from soundpost.core.app_settings import HistorySettings
from soundpost.tools.doctor import CheckPlan, history_check, timeouts
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.history_check import RedisInfo
from soundpost.tools.doctor.service_files import LocalService, service_here
from support.doctor_stage import PAGE, SCENES, Scene, Stage, codes, examined, place, scene, scenes_of, stage
from support.harness import DEFAULT_APP, RunningServer
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


def keeping(*history: HistorySettings, redis: str | None = None) -> CheckPlan:
    """Return the plan for a machine whose only app keeps events."""
    app = msgspec.structs.replace(DEFAULT_APP, history=history or (HistorySettings(channels=("private-*", "news")),))
    return CheckPlan(settings=Settings(apps=(app,), scaling=ScalingSettings(redis=redis)))


WITHOUT_INFO = ["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-info"]


def on_redis(on: Stage, *options: str) -> str:
    """Return the URL of a Redis with some options."""
    return on.stack.enter_context(running_redis(*options)).url


@scene("history-pattern-unused", "two tables of `[[apps.history]]`, the wider one first")
def _(on: Stage) -> CheckPlan:
    return keeping(HistorySettings(channels=("private-*",)), HistorySettings(channels=("private-orders.*", "news")))


@scene("redis-evicts-history", "a Redis with `maxmemory-policy allkeys-lru`")
def _(on: Stage) -> CheckPlan:
    return keeping(redis=on_redis(on, "--maxmemory-policy", "allkeys-lru"))


@scene("redis-info-refused", "a Redis whose user may not call INFO")
def _(on: Stage) -> CheckPlan:
    return keeping(redis=on_redis(on, *WITHOUT_INFO))


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


def steps_named(plan: CheckPlan, name: str) -> list[str]:
    """Return the messages of some steps."""
    return [step.message for step in examined(plan).steps if step.name == name]


def test_channels_that_keep_events_are_shown_with_what_frontends_need() -> None:
    plan = keeping(
        HistorySettings(channels=("private-orders.*", "news"), events=2_000, age=3_600, rewind=20),
        HistorySettings(channels=("presence-*",), age=90),
    )
    assert steps_named(plan, "History") == [
        "private-orders.*, news: 2,000 events, 1h, rewind 20; presence-*: 100 events, 90s; frontends need "
        "pusher-js 8.4 or newer"
    ]


def test_without_histories_there_is_nothing_to_say_of_them(on: Stage) -> None:
    with running_redis("--maxmemory-policy", "allkeys-lru") as redis:
        assert codes(examined(with_redis(on, redis.url))) == []


def test_a_redis_that_keeps_histories_as_it_must() -> None:
    with running_redis() as redis:
        plan = keeping(redis=redis.url)
        (message,) = steps_named(plan, "Redis for histories")
        assert codes(examined(plan)) == []
    assert message.startswith(f"127.0.0.1:{redis.port}: ")
    assert message.endswith(", maxmemory-policy noeviction")


def test_an_old_redis_is_named_with_its_version() -> None:
    with pytest.raises(FaultFound, match=r"Redis at redis:6379 is version 6\.0\.16: histories need 6\.2") as caught:
        history_check.check_redis(
            RedisInfo("redis:6379", {"redis_version": "6.0.16", "maxmemory_policy": "noeviction"})
        )
    assert caught.value.code == "redis-too-old"


@pytest.mark.parametrize(
    ("earlier", "later", "is_unused"),
    [
        ("*", "private-orders.*", True),
        ("private-*", "private-*", True),
        ("private-*.a", "private-*", False),
        ("private-*", "private-orders.7", True),
        ("private-orders.*", "private-*", False),
        ("a*c", "ab*c", True),
        ("a*c", "ab*", False),
    ],
)
def test_a_pattern_without_channels_of_its_own(earlier: str, later: str, is_unused: bool) -> None:
    plan = keeping(HistorySettings(channels=(earlier,)), HistorySettings(channels=(later,)))
    assert codes(examined(plan)) == (["history-pattern-unused"] if is_unused else [])


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
    assert service_here([Path("/srv/a.toml")], tmp_path) == LocalService("nobody", "journalctl -u soundpost -n 50")
    assert service_here([Path("/srv/b.toml")], tmp_path) is None
    assert service_here([Path("/srv/a.toml")], tmp_path / "nowhere") is None
