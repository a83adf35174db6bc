"""The tables ``[[apps.webhooks]]``: values, variables, the embedded server, and mistakes in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from soundpost.asgi import App
from soundpost.config.options import OPTIONS
from soundpost.config.webhooks_section import webhooks_text
from soundpost.core.app_settings import AppSettings, WebhookSettings
from soundpost.core.webhooks import PUSHER_EVENTS
from soundpost.errors import ConfigurationError
from support.configuration import APP, APP_TABLE, Directory

APP_OF_PYTHON = {"id": "1", "key": "key-1", "secret": "secret-1"}
URL = "https://example.com/hooks"
WEBHOOKS = "soundpost.toml: [[apps]] no. 1: webhooks"


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def webhooks_of(directory: Directory, environ: dict[str, str] | None = None) -> tuple[WebhookSettings, ...]:
    return directory.load(environ).settings.apps[0].webhooks


def test_an_app_has_no_webhooks_by_default(directory: Directory) -> None:
    assert directory.toml(APP_TABLE).load().settings.apps[0].webhooks == ()


def test_tables_below_their_app_in_order(directory: Directory) -> None:
    directory.toml(
        f"{APP_TABLE}[[apps.webhooks]]\nurl = '{URL}?a=1'\nevents = ['member_added', 'user_online']\n"
        "channels = ['presence-*']\nbatch_size = 50\ntimeout = 5\n"
        "headers = { Authorization = 'Bearer x', X-Empty = '' }\n"
        f"[[apps.webhooks]]\nurl = 'http://127.0.0.1:8000/hooks'\n{APP_TABLE.replace('1', '2')}"
    )
    first, second = directory.load().settings.apps
    assert first.webhooks == (
        WebhookSettings(
            url=f"{URL}?a=1",
            events=("member_added", "user_online"),
            channels=("presence-*",),
            headers={"Authorization": "Bearer x", "X-Empty": ""},
            batch_size=50,
            timeout=5,
        ),
        WebhookSettings(url="http://127.0.0.1:8000/hooks", events=PUSHER_EVENTS, channels=("*",), headers={}),
    )
    assert second.webhooks == ()


def test_variables_inside_a_table(directory: Directory) -> None:
    directory.toml(
        f"{APP_TABLE}[[apps.webhooks]]\nurl = '${{SITE}}/hooks'\nbatch_size = '${{BATCH:-7}}'\n"
        "headers.Authorization = 'Bearer ${TOKEN}'\n"
    )
    assert webhooks_of(directory, {"SITE": "https://example.com", "TOKEN": "x"}) == (
        WebhookSettings(url=URL, batch_size=7, headers={"Authorization": "Bearer x"}),
    )


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        (URL, [URL]),
        (f"{URL}, http://app:8000/a,b ,https://c.example/", [URL, "http://app:8000/a,b", "https://c.example/"]),
        (f"{URL},", [URL]),
    ],
)
def test_urls_in_a_variable(directory: Directory, text: str, urls: list[str]) -> None:
    found = webhooks_of(directory, {**APP, "SOUNDPOST_APP_WEBHOOKS": text})
    assert found == tuple(WebhookSettings(url=url) for url in urls)


def test_tables_in_a_variable(directory: Directory) -> None:
    text = f'[{{"url": "{URL}", "events": ["cache_miss"]}}, {{"url": "{URL}"}}]'
    found = webhooks_of(directory, {**APP, "SOUNDPOST_APP_WEBHOOKS": text})
    assert found == (WebhookSettings(url=URL, events=("cache_miss",)), WebhookSettings(url=URL))
    assert webhooks_of(directory, {**APP, "SOUNDPOST_APP_WEBHOOKS": webhooks_text(found)}) == found
    assert webhooks_text(found[1:]) == URL


def test_a_variable_replaces_the_tables_of_the_file(directory: Directory) -> None:
    directory.toml(f"{APP_TABLE}[[apps.webhooks]]\nurl = '{URL}'\n")
    assert webhooks_of(directory, {"SOUNDPOST_APP_WEBHOOKS": "http://other/"}) == (
        WebhookSettings(url="http://other/"),
    )
    assert webhooks_of(directory, {"SOUNDPOST_APP_WEBHOOKS": "(empty)"}) == ()
    assert webhooks_of(directory, {"SOUNDPOST_APP_WEBHOOKS": ""}) == (WebhookSettings(url=URL),)


def test_settings_of_the_server(directory: Directory) -> None:
    server = directory.load(APP).settings.server
    assert (server.private_webhooks, server.max_webhook_queue_size, server.state_dir) == (True, 33_554_432, None)
    directory.toml("[server]\nprivate_webhooks = false\nmax_webhook_queue_size = 1000\nstate_dir = '/var/lib/x'\n")
    server = directory.load(APP).settings.server
    assert (server.private_webhooks, server.max_webhook_queue_size, server.state_dir) == (False, 1_000, "/var/lib/x")
    assert OPTIONS["app", "webhooks"].variable == "SOUNDPOST_APP_WEBHOOKS"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("events = ['cache_miss']\n", " no. 1: url is missing: write url = 'https://example.com/webhooks'"),
        (f"url = '{URL}'\nevent = ['x']\n", " no. 1: unknown key 'event': here that is 'events'"),
        (f"url = '{URL}'\nevent_types = ['x']\n", " no. 1: unknown key 'event_types': here that is 'events'"),
        (f"url = '{URL}'\nchanels = ['x']\n", " no. 1: unknown key 'chanels'; did you mean 'channels'?"),
        (
            f"url = '{URL}'\nfilter = {{ channel_name_starts_with = 'a' }}\n",
            " no. 1: unknown key 'filter': here that is 'channels', with patterns such as 'presence-*' and '*-orders'",
        ),
        (
            "lambda_function = 'hear'\n",
            " no. 1: unknown key 'lambda_function': the server calls URLs only: give the function one (AWS has "
            "function URLs), and write it as 'url'",
        ),
        (
            f"url = '{URL}'\nsecret = 'abc'\n",
            " no. 1: unknown key 'secret': requests are signed with the secret of the app, in the header "
            "X-Pusher-Signature: remove it",
        ),
        (
            f"url = '{URL}'\nmax_retries = 3\n",
            " no. 1: unknown key 'max_retries': failed requests are always sent again for 5 minutes, after growing "
            "delays: remove it",
        ),
        (
            f"url = '{URL}'\nmax_connections = 3\n",
            " no. 1: unknown key 'max_connections'; it belongs to [[apps]]: write it above the first [[apps.webhooks]]",
        ),
        (
            f"url = '{URL}'\ncolour = 3\n",
            " no. 1: unknown key 'colour'; known are url, events, channels, headers, batch_size, timeout",
        ),
        (
            f"url = '{URL}'\nevents = 'member_added'\n",
            " no. 1: events='member_added': expected a list of names such as ['member_added', 'member_removed']",
        ),
        (
            f"url = '{URL}'\nevents = ['member_add']\n",
            " no. 1: events: 'member_add' is the name of no webhook; did you mean 'member_added'?",
        ),
        (f"url = '{URL}'\nbatch_size = 0\n", " no. 1: batch_size=0: expected a whole number from 1 to 1000"),
        (f"url = '{URL}'\ntimeout = 0.5\n", " no. 1: timeout=0.5: expected a whole number of seconds, of at least 1"),
        (
            f"url = '{URL}'\nheaders = ['a: hush']\n",
            ' no. 1: headers: expected a table of texts such as { Authorization = "Bearer …" }',
        ),
        (
            f"url = '{URL}'\nheaders.'X Y' = 'hush'\n",
            " no. 1: headers: 'X Y' is not the name of a header: letters, digits and - are",
        ),
        (
            f"url = '{URL}'\nheaders.X-Y = \"hush\\r\\nX-Z: 1\"\n",
            " no. 1: headers: the value of 'X-Y' cannot stand in a header: write ASCII without line breaks and outer "
            "blanks",
        ),
        *(
            (
                f"url = '{URL}'\nheaders.{name} = 'hush'\n",
                f" no. 1: headers: {name!r} is set by the server: leave it",
            )
            for name in ("Content-Type", "HOST", "x-pusher-signature", "X-Pusher-Key", "Transfer-Encoding")
        ),
        (
            f"url = '{URL}'\n[[apps.webhooks]]\nurl = '{URL}'\nchannels = ['room.{{id}}']\n",
            " no. 2: channels: 'room.{id}' has a name in brackets, which no channel has: write 'room.*'",
        ),
        (
            f"url = '{URL}'\nevents = ['member_added', 'user_online', 'client_event']\n"
            "channels = ['presence-*', 'room.*']\n",
            " no. 1: channels: 'room.*': member_added is about channels that begin with 'presence-': write "
            "'presence-room.*', the full name",
        ),
    ],
)
def test_mistakes_in_a_table(directory: Directory, text: str, message: str) -> None:
    found = directory.toml(f"{APP_TABLE}[[apps.webhooks]]\n{text}").error()
    assert found.removesuffix(" out") == WEBHOOKS + message
    assert "hush" not in found


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "url='': expected an address such as 'https://example.com/webhooks'"),
        ("example.com/hooks", "url='example.com/hooks': an address such as 'https://example.com/webhooks' is expected"),
        ("ws://example.com", "url='ws://example.com': an address such as 'https://example.com/webhooks' is expected"),
        ("https:///hooks", "url='https:///hooks': "),
        (
            "https://example.com:99999",
            "url='https://example.com:99999': its host or port is not valid: a port is a number",
        ),
        ("https://a b/", "url='https://***': "),
        ("http://1.2.3.400:8000/", "'1.2.3.400' is not an IPv4 address: its four numbers go from 0 to 255"),
        ("http://010.0.0.1/", "'010.0.0.1' is not an IPv4 address: its four numbers go from 0 to 255"),
        ("https://example.com/#x", "leave out what follows the '#', which is not sent"),
        ("http://0.0.0.0:8000/", "a server listens there, and nobody can connect to it: write 127.0.0.1"),
        ("https://example.com/ä", "characters that are not ASCII: write them as %XX"),
        (
            "https://ann:hush@example.com/",
            "url='https://***@example.com/': leave out user name and password: headers can have an 'Authorization'",
        ),
    ],
)
def test_urls_that_cannot_be_called(directory: Directory, url: str, message: str) -> None:
    found = directory.toml(f"{APP_TABLE}[[apps.webhooks]]\nurl = '{url}'\n").error()
    assert found.startswith(f"{WEBHOOKS} no. 1: ")
    assert message in found
    assert "hush" not in found
    if url:
        with pytest.raises(ConfigurationError):
            WebhookSettings(url=url)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (
            "webhooks = true\n",
            "webhooks=True: expected a list of tables: begin each with a line [[apps.webhooks]], and",
        ),
        (f"webhooks = '{URL}'\n", "expected a list of tables: begin each with a line [[apps.webhooks]], and url = "),
        (f"webhooks = ['{URL}']\n", f"webhooks no. 1='{URL}': expected a list of tables"),
        (
            f"[apps.webhooks]\nurl = '{URL}'\nheaders = {{ X = 'hush' }}\n",
            "begin each with [[apps.webhooks]], in two pairs of brackets",
        ),
    ],
)
def test_webhooks_that_are_no_list_of_tables(directory: Directory, text: str, end: str) -> None:
    found = directory.toml(APP_TABLE + text).error()
    assert end in found
    assert "hush" not in found


@pytest.mark.parametrize("events", [["member_added", "channel_occupied"], ["user_online"]])
def test_a_pattern_may_be_for_some_events_or_none(events: list[str]) -> None:
    assert WebhookSettings(url=URL, events=tuple(events), channels=("room.*",)).channels == ("room.*",)


def test_webhooks_in_another_place(directory: Directory) -> None:
    message = "soundpost.toml: unknown key 'webhooks'; it belongs to an app: begin it with [[apps.webhooks]], below the"
    assert directory.toml(f"{APP_TABLE}[[webhooks]]\nurl = '{URL}'\n").error().startswith(message)
    assert directory.toml(f"{APP_TABLE}[server]\nwebhooks = 1\n").error().endswith("it belongs to [[apps]]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("example.com", "url='example.com': an address such as"),
        ("[news", "not valid JSON: "),
        ('[{"url": "https://example.com", "lambda": "x"}]', "no. 1: unknown key 'lambda': the server calls URLs only"),
    ],
)
def test_mistakes_in_a_variable(directory: Directory, text: str, message: str) -> None:
    found = directory.error({**APP, "SOUNDPOST_APP_WEBHOOKS": text})
    assert found.startswith("environment: SOUNDPOST_APP_WEBHOOKS")
    assert message in found


def test_secrets_are_not_shown() -> None:
    shown = repr(WebhookSettings(url=f"{URL}?token=hush", headers={"X-Token": "hush"}))
    assert "hush" not in shown
    assert URL in shown


def test_the_embedded_server_takes_the_same_tables() -> None:
    webhooks: Any = [{"url": URL, "events": ["cache_miss"]}, WebhookSettings(url=URL)]
    (app,) = App(apps=[{**APP_OF_PYTHON, "webhooks": webhooks}]).apps
    assert app.webhooks == (WebhookSettings(url=URL, events=("cache_miss",)), WebhookSettings(url=URL))
    own = AppSettings(id="1", key="key-1", secret="secret-1", webhooks=app.webhooks)
    assert App(apps=[own]).apps == (own,)
    with pytest.raises(ConfigurationError, match=r"^soundpost\.asgi: apps: webhooks no\. 1: unknown key 'urls'; did"):
        App(apps=[{**APP_OF_PYTHON, "webhooks": [{"urls": URL}]}])
    too_many = WebhookSettings(url=URL, batch_size=1_000_000)
    with pytest.raises(ConfigurationError, match=r"webhooks no\. 1: batch_size=1000000: expected a whole number from"):
        App(apps=[{**APP_OF_PYTHON, "webhooks": [too_many]}])


def test_an_endpoint_of_ends_needs_their_beginnings() -> None:
    endpoint = WebhookSettings(url=URL, events=("user_offline", "cache_miss"))
    app = AppSettings(id="1", key="key-1", secret="secret-1", webhooks=(endpoint,))
    assert app.reports == {"user_offline", "user_online", "cache_miss"}
