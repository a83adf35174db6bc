"""System checks, settings, the template tag, channels.py, the commands of manage.py."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.template import Context, Engine, RequestContext, Template
from django.test import RequestFactory, override_settings
from django.test.utils import setup_test_environment, teardown_test_environment
from django.urls import include, path

from frameworks.django_process import django_state
from soundpost import broadcast
from soundpost.broadcasting.authorization import ChannelRoutes, channels
from soundpost.django import autodiscovery
from soundpost.errors import ConfigurationError

MODULE = "frameworks.django_site.shop.channels"
NO_URLS = ModuleType("no_urls")
vars(NO_URLS)["urlpatterns"] = []
CREDENTIALS = {"APP_ID": "1", "KEY": "app-key", "SECRET": "app-secret"}


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("URL", "APP_ID", "APP_KEY", "APP_SECRET", "HOST", "PORT", "BROADCAST_DRIVER"):
        monkeypatch.delenv(f"SOUNDPOST_{name}", raising=False)
    with django_state():
        yield


def findings(**settings: Any) -> dict[str, str]:
    """Return the findings of the system checks, by id."""
    with override_settings(**settings):
        return {each.id: f"{each.msg} {each.hint}" for each in run_checks(tags=["soundpost"])}


# Checks


def test_a_site_that_is_well_has_no_findings() -> None:
    assert findings() == {}
    assert findings(DEBUG=True) == {}


@pytest.mark.parametrize(
    ("soundpost", "id", "says"),
    [
        ({"SECRT": "x"}, "E001", "'SECRT' is not a setting; did you mean 'SECRET'?"),
        ({"CHANNELS_MODUL": "x"}, "E001", "did you mean 'CHANNELS_MODULE'?"),
        ({**CREDENTIALS, "PORT": "many"}, "E001", "'many' is not a port"),
        ({**CREDENTIALS, "DRIVER": "carrier-pigeon"}, "E001", "driver 'carrier-pigeon' is unknown"),
        ({**CREDENTIALS, "PUBLIC": {"hst": "x"}}, "E001", "did you mean 'host'?"),
        ({**CREDENTIALS, "PUBLIC": "ws.example.com"}, "E001", "should be a dictionary"),
        ({**CREDENTIALS, "DATABASE": "nowhere"}, "E001", "'nowhere' is not in settings.DATABASES"),
        ({**CREDENTIALS, "CHANNELS_MODULE": 5}, "E001", "should be a text"),
        (["APP_ID"], "E001", "should be a dictionary"),
        ("http://127.0.0.1:8080", "E001", "expected http://KEY:SECRET@HOST:PORT/apps/APP_ID"),
        ({"APP_ID": "1", "KEY": "k"}, "E002", "has no SECRET"),
        ({}, "W005", "no credentials"),
        (None, "W005", "soundpost init"),
    ],
)
def test_wrong_settings_are_told_with_a_way_out(soundpost: Any, id: str, says: str) -> None:
    found = findings(SOUNDPOST=soundpost)
    assert list(found) == [f"soundpost.{id}"]
    assert says in found[f"soundpost.{id}"]


@pytest.mark.parametrize(
    "soundpost",
    [
        "http://k:s@127.0.0.1:8080/apps/1",
        {"DRIVER": "log"},
        {"driver": "null"},
        {"APP_ID": "1", "APP_KEY": "k", "APP_SECRET": "s"},
    ],
)
def test_other_forms_of_settings_are_well(soundpost: Any) -> None:
    assert findings(SOUNDPOST=soundpost) == {}


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDPOST_URL", "http://k:s@127.0.0.1:8080/apps/9")
    assert findings(SOUNDPOST={"DELIVER": "background"}) == {}
    with override_settings(SOUNDPOST={"DELIVER": "background"}, DEBUG=True):
        assert broadcast.settings.connection().app_id == "9"
        assert broadcast.settings.deliver == "background"
        assert broadcast.settings.debug


@pytest.mark.parametrize(
    ("soundpost", "ids"),
    [({}, set()), ({"HOST": "10.0.0.5"}, {"W003"}), ({"APP_ID": "1"}, {"E002"}), (CREDENTIALS, set())],
    ids=["nothing", "no credentials", "a part", "all"],
)
def test_a_test_runner_of_django_brings_credentials_where_there_are_none(
    soundpost: Any, ids: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "soundpost.testing.plugin")
    assert {each.removeprefix("soundpost.") for each in findings(SOUNDPOST=soundpost)} == ids
    with override_settings(SOUNDPOST=soundpost):
        assert broadcast.settings.connection().app_id == soundpost.get("APP_ID", "test")
    teardown_test_environment()
    try:
        with override_settings(SOUNDPOST=soundpost):
            assert "test" not in [each.app_id for each in broadcast.settings.connections.values()]
    finally:
        setup_test_environment()


def test_wrong_settings_fail_where_they_are_needed_and_nowhere_else() -> None:
    with override_settings(SOUNDPOST={"SECRT": "x"}), pytest.raises(ConfigurationError, match="SECRT"):
        broadcast.publish("orders", "Shipped")


@pytest.mark.parametrize(
    ("public", "id"),
    [
        ({"host": "127.0.0.1"}, "W003"),
        ({"host": "localhost", "port": 8080}, "W003"),
        ({"host": "0.0.0.0"}, "W003"),
        ({"host": "10.0.0.5", "tls": True}, "W003"),
        ({"host": "soundpost", "tls": True}, "W003"),
        ({"host": "ws.example.com", "port": 8080}, "W004"),
        ({}, "W004"),
        ({"host": "ws.example.com", "port": 443, "tls": True}, None),
    ],
)
def test_an_address_that_browsers_cannot_reach_is_told_in_production(public: dict[str, Any], id: str | None) -> None:
    soundpost = {**CREDENTIALS, "PUBLIC": public}
    https = {"SECURE_SSL_REDIRECT": True} if id != "W003" else {}
    assert list(findings(SOUNDPOST=soundpost, **https)) == ([f"soundpost.{id}"] if id else [])
    assert findings(SOUNDPOST=soundpost, DEBUG=True, **https) == {}


def test_missing_middleware_and_urls_are_told() -> None:
    assert list(findings(MIDDLEWARE=[])) == ["soundpost.W001"]
    with override_settings(ROOT_URLCONF=NO_URLS):
        assert list(findings()) == ["soundpost.W002"]
        assert findings(SOUNDPOST={**CREDENTIALS, "AUTH_PATH": "/api/broadcasting/"}) == {}


def test_wrong_guards_and_permissions_are_told() -> None:
    channels.add("private", "a", lambda user: True, guards="tokens")
    channels.add("private", "b", lambda user: True, permission="view_order")
    found = findings()
    assert 'channels.guard("tokens")' in found["soundpost.E005"]
    assert '"shop.view_order"' in found["soundpost.E006"]


# channels.py


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of channel routes of an app that is installed in the test."""
    (tmp_path / "stand").mkdir()
    (tmp_path / "stand" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "stand" / "channels.py"
    for name in ("stand", "stand.channels"):
        sys.modules.pop(name, None)
    autodiscovery.failures.clear()


def install() -> dict[str, str]:
    with override_settings(INSTALLED_APPS=["soundpost.django", "frameworks.django_site.shop", "stand"]):
        return findings()


ROUTE = "from soundpost import channels\n@channels.private({pattern!r})\ndef {name}(user, **parameters): return True\n"


def test_a_module_that_cannot_be_imported_is_told_and_its_routes_are_none(
    shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop.write_text(ROUTE.format(pattern="stands.{id:int}", name="stand") + "import nothing_of_this_name\n")
    found = install()
    assert "stand.channels cannot be imported: ModuleNotFoundError" in found["soundpost.E004"]
    assert "Traceback" in caplog.text
    assert channels.find("private-stands.1") is None
    assert channels.find("private-orders.1") is not None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("orders.{id}", "both match 'orders.0'"),
        ("private-stands.{id}", "leave out the prefix"),
        ("stands.{id:float}", "unknown converter 'float'"),
    ],
)
def test_wrong_and_overlapping_routes_are_told(shop: Path, pattern: str, says: str) -> None:
    shop.write_text(ROUTE.format(pattern="stands", name="fine") + ROUTE.format(pattern=pattern, name="wrong"))
    assert says in install()["soundpost.E003"]
    assert channels.find("private-stands") is None


def test_a_module_may_be_loaded_again(shop: Path) -> None:
    from importlib import reload

    shop.write_text(ROUTE.format(pattern="stands.{id}", name="stand"))
    assert install() == {}
    before = len(channels)
    reload(sys.modules["stand.channels"])
    assert len(channels) == before
    assert install() == {}


def test_another_name_for_the_modules(shop: Path) -> None:
    shop.with_name("realtime.py").write_text(ROUTE.format(pattern="stands", name="stand"))
    with override_settings(SOUNDPOST={**CREDENTIALS, "CHANNELS_MODULE": "realtime"}):
        install()
    assert channels.find("private-stands") is not None


def test_routes_of_a_failed_block_are_dropped() -> None:
    routes = ChannelRoutes()
    routes.add("private", "a", lambda user: True)
    with suppress(RuntimeError), routes.all_or_none():
        routes.add("private", "b", lambda user: True)
        raise RuntimeError
    assert [route.pattern.text for route in routes] == ["a"]


# The template tag


def rendered(host: str = "testserver", **context: Any) -> str:
    request = RequestFactory().get("/", headers={"Host": host})
    template = Template("{% load soundpost %}{% soundpost nonce=nonce positions=positions %}")
    return str(template.render(Context({"request": request, **context})))


def options(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="soundpost-config" type="application/json">(.*?)</script>', html)
    assert found is not None
    made: dict[str, Any] = json.loads(found[1])
    return made


def test_the_tag_puts_positions_into_the_page() -> None:
    assert options(rendered(positions={"news": "g7Qx.3"}))["positions"] == {"news": "g7Qx.3"}
    assert "positions" not in options(rendered())


def test_the_tag_tells_where_to_connect() -> None:
    html = rendered()
    token = re.search(r'<meta name="csrf-token" content="(\w+)">', html)
    assert token is not None
    assert options(html) == {
        "broadcaster": "reverb",
        "key": "app-key",
        "wsHost": "testserver",
        "wsPort": 8080,
        "wssPort": 8080,
        "forceTLS": False,
        "enabledTransports": ["ws"],
        "namespace": False,
        "authEndpoint": "/broadcasting/auth",
        "userAuthentication": {"endpoint": "/broadcasting/user-auth", "headers": {}},
        "csrfToken": token[1],
    }
    assert "app-secret" not in html
    assert "X-Socket-ID" in html
    assert "nonce" not in html


@pytest.mark.parametrize("internal", ["127.0.0.1", "localhost", "soundpost", "0.0.0.0"])
def test_the_tag_never_tells_the_internal_host(internal: str) -> None:
    with override_settings(SOUNDPOST={**CREDENTIALS, "HOST": internal}):
        assert options(rendered("localhost:8000"))["wsHost"] == "localhost"
    public = {"host": "ws.example.com", "port": 443, "tls": True}
    with override_settings(SOUNDPOST={**CREDENTIALS, "HOST": internal, "PUBLIC": public}):
        found = options(rendered())
    assert (found["wsHost"], found["wssPort"], found["forceTLS"]) == ("ws.example.com", 443, True)


def test_the_tag_has_the_nonce_of_a_content_security_policy() -> None:
    assert '<script nonce="r4nd&quot;om">' in rendered(nonce='r4nd"om')


def test_the_tag_has_no_nonce_where_the_page_has_none() -> None:
    assert "nonce" not in rendered(nonce=None)


@pytest.mark.parametrize("how", ["", "with title='x'", "with request='a text'", "with title='x' only"])
def test_the_tag_finds_the_request_below_any_include(how: str) -> None:
    head = ("django.template.loaders.locmem.Loader", {"head": "{% load soundpost %}{% soundpost %}"})
    engine = Engine(loaders=[head], libraries={"soundpost": "soundpost.django.templatetags.soundpost"})
    page = engine.from_string(f"{{% include 'head' {how} %}}")
    request = RequestFactory().get("/", headers={"Host": "localhost"})
    html = str(page.render(RequestContext(request, {})))
    assert '<meta name="csrf-token"' in html
    assert options(html)["wsHost"] == "localhost"


def test_the_tag_tells_other_addresses_of_the_endpoints() -> None:
    with override_settings(SOUNDPOST={**CREDENTIALS, "AUTH_PATH": "https://api.example.com/broadcasting/"}):
        assert options(rendered())["authEndpoint"] == "https://api.example.com/broadcasting/auth"
    with override_settings(ROOT_URLCONF=NO_URLS):
        assert options(rendered())["authEndpoint"] == "/broadcasting/auth"


def test_the_endpoints_are_found_below_other_namespaces() -> None:
    inner = [path("live/", include("soundpost.django.urls"))]
    urls: Any = ModuleType("urls_with_namespaces")
    urls.urlpatterns = [
        path("else/", include(([path("x", lambda request: None, name="auth")], "else"))),
        path("api/", include(([path("v1/", include((inner, "v1"), namespace="first"))], "api"))),
    ]
    with override_settings(ROOT_URLCONF=urls):
        assert options(rendered())["authEndpoint"] == "/api/v1/live/auth"
        assert findings() == {}


def test_the_tag_works_without_a_request() -> None:
    html = str(Template("{% load soundpost %}{% soundpost %}").render(Context()))
    assert "csrf" not in html.partition("<script>")[0]


# Commands


def run(*arguments: str, **more: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("soundpost", *arguments, stdout=out, stderr=err, **more)
    return out.getvalue(), err.getvalue()


def test_channels_lists_the_routes() -> None:
    out, err = run("channels")
    assert re.search(r"^orders\.\{order_id:int\} +private +" + re.escape(f"{MODULE}.order") + "$", out, re.M)
    assert re.search(r"^api\.\{topic\} +private +api, session ", out, re.M)
    assert re.search(r"^lobby +presence +guests ", out, re.M)
    assert err == ""
    channels.clear()
    assert "no channel routes" in run("channels")[1]


def test_events_lists_classes_and_models() -> None:
    out, _ = run("events")
    assert "OrderShipped  frameworks.django_site.shop.events.OrderShipped" in out
    assert "private-orders.{order_id}" in out
    assert "order_id: int, carrier: str" in out
    assert "OrderCreated, OrderUpdated, OrderDeleted  frameworks.django_site.shop.models.Order" in out
    assert "articles, private-articles.{pk}" in out


def test_trigger_publishes_through_the_configured_connection() -> None:
    with broadcast.fake() as sent:
        out, _ = run("trigger", "private-orders.7", "Shipped", '{"id": 7}', "--socket-id", "1.2")
        run("trigger", "orders", "said", "no JSON")
    assert out.startswith("Published Shipped to private-orders.7 at http://")
    assert sent.assert_broadcast("Shipped", on="private-orders.7").data == {"id": 7}
    assert sent.assert_broadcast("Shipped").excluded == "1.2"
    assert sent.assert_broadcast("said").data == "no JSON"
    with broadcast.fake() as sent:
        _, err = run("trigger", "notes", "NoteAdded", "{text: x}")
    assert sent.assert_broadcast("NoteAdded").data == "{text: x}"
    assert err.startswith("DATA is not JSON, so it was sent as a text: ")
    with pytest.raises(CommandError, match="broken channel"), broadcast.fake():
        run("trigger", "broken channel", "x")


# Surroundings


def in_folder(folder: Path, **soundpost: Any) -> dict[str, str]:
    """Return the findings of a project in a folder."""
    return findings(BASE_DIR=folder, SOUNDPOST={**CREDENTIALS, **soundpost})


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ('id = "1"\nkey = "app-key"\nsecret = "app-secret"', None),
        ('id = "1"\nkey = "app-key"\nsecret = "s3cr3t-of-the-file"', "serves another key or secret"),
        ('id = "2"\nkey = "other"\nsecret = "s3cr3t-of-the-file"', "serves the app '2', from soundpost.toml in"),
    ],
)
def test_a_file_for_another_app_is_told(tmp_path: Path, app: str, says: str | None) -> None:
    (tmp_path / "soundpost.toml").write_text(f"[[apps]]\n{app}\n")
    found = in_folder(tmp_path)
    assert list(found) == ([] if says is None else ["soundpost.W007"])
    if says is not None:
        assert says in found["soundpost.W007"]
        assert "s3cr3t" not in found["soundpost.W007"]
    assert in_folder(tmp_path, HOST="ws.internal.example") == {}, "the server is on another machine"


@pytest.mark.parametrize(("text", "is_told"), [("from soundpost.asgi import App", False), ("", True)])
def test_an_embedded_server_that_nobody_makes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_told: bool
) -> None:
    package = tmp_path / "embedded_site"
    package.mkdir()
    for name, content in {"__init__": "", "asgi": text, "urls": "urlpatterns = []"}.items():
        (package / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [each for each in sys.modules if each.startswith("embedded_site")]:
        monkeypatch.delitem(sys.modules, name)
    found = findings(
        ROOT_URLCONF="embedded_site.urls", SOUNDPOST={**CREDENTIALS, "DRIVER": "embedded", "AUTH_PATH": "/"}
    )
    assert list(found) == (["soundpost.W008"] if is_told else [])


def test_a_queue_without_its_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    found = findings(SOUNDPOST={**CREDENTIALS, "DELIVER": "celery"})
    assert "deliver='celery' needs the library celery, which is not installed here" in found["soundpost.E007"]


@pytest.mark.parametrize(("secret", "is_told"), [("your-app-secret", True), ("qmZ8fK0sWc6v", False)])
def test_the_secret_of_an_example_is_told_before_a_deployment(secret: str, is_told: bool) -> None:
    with override_settings(SOUNDPOST={**CREDENTIALS, "SECRET": secret}):
        found = [each.id for each in run_checks(tags=["soundpost"], include_deployment_checks=True)]
        assert found == (["soundpost.W009"] if is_told else [])
        assert run_checks(tags=["soundpost"]) == []
