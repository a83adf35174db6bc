"""Secrets in messages, logs and representations: there are none, however a URL was written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.backplane.redis.login import Login
from soundpost.broadcasting.settings import ConnectionSettings, parse_app_url, settings_from
from soundpost.client import ChannelAuth, with_secret
from soundpost.config.credentials import Credentials
from soundpost.config.options import OPTIONS, Option, Setting
from soundpost.config.settings import ScalingSettings, ServerSettings, Settings, TlsSettings
from soundpost.core.app_settings import AppSettings
from soundpost.errors import SoundpostError
from soundpost.pusher import Pusher
from soundpost.redaction import redacted, redacted_url
from soundpost.tools.bench.messages import Endpoint
from soundpost.tools.cli.running_server import RunningServer
from soundpost.tools.cli.target import Target, TargetOptions
from soundpost.tools.doctor.base_url import parse_base_url
from soundpost.tools.doctor.plan import CheckPlan

SECRET = "S3cr3t"
AWKWARD = ["", "/", "#", "?", "@", ":", "[", "]", " ", "%", "&", "=", "\\", "é", "\n", "//", "@/", "#@", "?@&", "/1#x@"]
FORMS = [
    "redis://:{}@host:6379/0",
    "rediss://user:{}@host",
    "redis-sentinel://:{}@a:1,b:2/0#main",
    "unix://:{}@/run/redis.sock?db=1",
    "redis://host:6379/0?password={}",
    "redis://host?password={}&db=3",
    "https://key:{}@ws.example.com/apps/1",
    "key:{}@host:6379",
]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pass@10.0.0.5:6379/0", "redis://***@10.0.0.5:6379/0"),
        ("redis-sentinel://:x@h1:1,h2:2/0#main", "redis-sentinel://***@h1:1,h2:2/0#main"),
        ("rediss://[::1]:6379/0?db=3&password=x&a=1", "rediss://[::1]:6379/0?db=3&password=***"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("wss://bücher.example:8443/käse", "wss://bücher.example:8443/käse"),
        ("https://ключ:пароль@пример.рф", "https://***@пример.рф"),
        ("redis://:ä/b@host:6379", "redis://***"),
        ("redis://:a/b@host:6379", "redis://***"),
        ("redis://:a#b@host:6379", "redis://***"),
        ("host:6379", "host:6379"),
        ("three words: none of them secret", "three words: none of them secret"),
    ],
)
def test_what_is_left_of_a_url(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


@pytest.mark.parametrize("form", FORMS)
def test_no_part_of_a_password_is_shown(form: str) -> None:
    for first, second in product(AWKWARD, repeat=2):
        written = form.format(f"{SECRET}{first}{SECRET}{second}{SECRET}")
        for text in (redacted_url(written), redacted(written), redacted([written]), redacted({"url": written})):
            assert SECRET not in text, written


@given(st.text(min_size=1), st.sampled_from(FORMS))
def test_nor_of_any_other(password: str, form: str) -> None:
    marked = f"{SECRET}{password}{SECRET}"
    assert SECRET not in redacted_url(form.format(marked))
    assert SECRET not in redacted_url(form.format(quote(marked, safe="")))


@pytest.mark.parametrize("name", ["secret", "APP_SECRET", "password", "sentinel_password", "passphrase", "token"])
def test_keys_of_a_dictionary_that_name_a_secret(name: str) -> None:
    assert SECRET not in redacted({"host": "h", name: SECRET, "deep": {name: [SECRET]}})


@pytest.mark.parametrize(
    "thing",
    [
        AppSettings(id="1", key="k", secret=SECRET),
        Settings(
            apps=(AppSettings(id="1", key="k", secret=SECRET),), scaling=ScalingSettings(redis=f"redis://:{SECRET}@h")
        ),
        Settings(server=ServerSettings(tls=TlsSettings(passphrase=SECRET))),
        ScalingSettings(redis=f"redis://:{SECRET}@h", sentinel_password=SECRET),
        ScalingSettings(redis=f"redis://:a/{SECRET}@h"),
        Login(username="u", password=SECRET),
        Credentials("1", "k", SECRET),
        Setting(SECRET, "environment: SOUNDPOST_APP_SECRET"),
        TargetOptions(secret=SECRET),
        Target("http://h", "1", "k", SECRET),
        CheckPlan(secret=SECRET),
        RunningServer(pid=1, started="", port=1, url="", app_id="1", key="k", secret=SECRET),
        Endpoint(base_url="", address="", port=1, verify=True, app_id="1", key="k", secret=SECRET, spread=False),
        ConnectionSettings(app_id="1", key="k", secret=SECRET, encryption_master_key=SECRET),
        parse_app_url(f"http://k:{SECRET}@h/apps/1"),
        ChannelAuth("k:1", None, SECRET),
        with_secret("k", SECRET),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_holds_a_secret_does_not_show_it(thing: object) -> None:
    assert SECRET not in repr(thing)
    assert SECRET not in str(thing)
    assert SECRET not in f"{(thing, [thing])}"


@pytest.mark.parametrize(
    "option",
    [each for each in OPTIONS.values() if each.is_secret and each.keys[0] != "public"],
    ids=lambda each: each.name,
)
def test_no_secret_option_is_shown(option: Option) -> None:
    forms = {
        "redis": f"redis://:{SECRET}@h",
        "password_hash": f"scrypt:16384:8:1:{SECRET:x<16}:{SECRET:x<32}",
        "token": f"{SECRET:x<16}",
    }
    value: Any = forms.get(option.name, SECRET)
    section, *names = option.keys
    for name in reversed(names):
        value = {name: value}
    if section == "app":
        settings = msgspec.convert({"id": "1", "key": "k", "secret": "s", **value}, AppSettings)
        assert SECRET not in repr(settings)
    else:
        assert SECRET not in repr(msgspec.convert({section: value}, Settings))


def in_connections(value: Any) -> object:
    return settings_from({"connections": {"main": value}})


@pytest.mark.parametrize(
    "make",
    [
        lambda: in_connections(f"http://key:{SECRET}@h/apps/1"),
        lambda: in_connections(SECRET),
        lambda: settings_from({"connections": {"app_id": "1", "key": "k", "secret": SECRET}}),
        lambda: in_connections({"url": f"http://key:{SECRET}/x@h/apps/1"}),
        lambda: in_connections({"url": f"http://key:{SECRET}[@h/apps/1"}),
        lambda: in_connections({"url": f"http://key:{SECRET}\u2100@h/apps/1"}),
        lambda: in_connections({"host": f"http://key:{SECRET}@h/apps/1"}),
        lambda: in_connections({"host": f"key:{SECRET}@h/"}),
        lambda: in_connections({"scheme": f"http://key:{SECRET}@h/apps/1"}),
        lambda: in_connections({"port": f"http://key:{SECRET}@h/apps/1"}),
        lambda: in_connections({"driver": f"key{SECRET}@".replace(SECRET, "")}),
        lambda: settings_from({"url": f"key:{SECRET}@h/apps/1"}),
        lambda: settings_from({"trusted_origins": {"secret": SECRET}}),
        lambda: parse_base_url(f"ftp://key:{SECRET}@h"),
        lambda: parse_base_url(f"http://key:{SECRET}[@h"),
        lambda: Pusher("1", "k", SECRET.encode()),  # type: ignore[arg-type]
        lambda: Pusher.from_url(f"https://k:{SECRET}[@h/apps/1"),
        lambda: Pusher.from_url(f"https://k:{SECRET}\u2100@h/apps/1"),
    ],
)
def test_no_error_about_settings_shows_it(make: Callable[[], object]) -> None:
    with pytest.raises((SoundpostError, ValueError, TypeError)) as caught:
        make()
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
