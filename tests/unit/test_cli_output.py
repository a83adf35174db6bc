"""What is printed: snippets, banners, events."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from soundpost.client.incoming import ReceivedEvent
from soundpost.core.app_settings import AppSettings
from soundpost.tools.cli.addresses import ServerAddress, browser_address, local_address
from soundpost.tools.cli.banner import Banner, trigger_command
from soundpost.tools.cli.event_lines import EventLines
from soundpost.tools.cli.snippets import dotenv_lines, echo_snippet, laravel_lines, public_url, soundpost_lines
from support.configuration import APP, Directory

LOCAL = ServerAddress("http", "127.0.0.1", 8080, "")
PROXY = ServerAddress("https", "ws.example.com", 443, "")
SHOP = AppSettings(id="1", key="app-key", secret="app-secret")


def test_echo_connects_where_browsers_connect() -> None:
    snippet = echo_snippet("app-key", PROXY)
    assert "wsHost: 'ws.example.com'" in snippet
    assert "wssPort: 443" in snippet
    assert "forceTLS: true" in snippet
    assert "wsPath" not in snippet
    assert "wsPath: '/ws'" in echo_snippet("app-key", LOCAL._replace(path="/ws"))
    assert "forceTLS: false" in echo_snippet("app-key", LOCAL)


def test_a_backend_publishes_to_the_server_while_browsers_use_the_proxy() -> None:
    lines = dotenv_lines(SHOP, LOCAL, PROXY).splitlines()
    assert {"SOUNDPOST_HOST=127.0.0.1", "SOUNDPOST_PORT=8080", "SOUNDPOST_SCHEME=http"} <= set(lines)
    assert {"REVERB_HOST=127.0.0.1", "REVERB_PORT=8080", "REVERB_SCHEME=http"} <= set(lines)
    assert {"VITE_REVERB_HOST=ws.example.com", "VITE_REVERB_PORT=443", "VITE_REVERB_SCHEME=https"} <= set(lines)
    assert "SOUNDPOST_PUBLIC_URL=https://ws.example.com" in lines
    assert "SOUNDPOST_PUBLIC_URL" not in dotenv_lines(SHOP, LOCAL, LOCAL), "the address of the server itself"


def test_laravel_has_lines_of_its_own() -> None:
    assert all(line.startswith(("SOUNDPOST_", "#")) for line in soundpost_lines(SHOP, LOCAL, PROXY).splitlines())
    assert "SOUNDPOST_" not in laravel_lines(SHOP, LOCAL, PROXY)


@pytest.mark.parametrize(
    ("browser", "url"),
    [
        (PROXY, "https://ws.example.com"),
        (PROXY._replace(path="/ws"), "https://ws.example.com/ws"),
        (PROXY._replace(port=8443), "https://ws.example.com:8443"),
        (ServerAddress("http", "a.example", 80, ""), "http://a.example"),
        (ServerAddress("http", "a.example", 443, ""), "http://a.example:443"),
        (ServerAddress("https", "2001:443::1", 443, ""), "https://[2001:443::1]"),
    ],
)
def test_a_public_url_leaves_the_schemes_own_port_out(browser: ServerAddress, url: str) -> None:
    assert public_url(browser) == url


def test_printed_env_lines_configure_the_server_they_are_of(tmp_path: Path) -> None:
    loaded = Directory(tmp_path).dotenv(dotenv_lines(SHOP, LOCAL, LOCAL)).load()
    assert loaded.warnings == []
    assert loaded.settings.apps == (SHOP,)


def test_browsers_connect_to_the_host_name(tmp_path: Path) -> None:
    loaded = Directory(tmp_path).load(APP, overrides={"server.hostname": "ws.example.com"})
    assert browser_address(loaded, 9000) == ServerAddress("http", "ws.example.com", 9000, "")
    assert local_address(loaded.settings.server, 9000) == ServerAddress("http", "127.0.0.1", 9000, "")


def test_with_a_configuration_the_banner_is_short_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    apps = (SHOP, AppSettings(id="2", key="key-2", secret="secret-2", enabled=False))
    Banner().configured("http://0.0.0.0:8080", apps, LOCAL)
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith("listening on http://0.0.0.0:8080  apps: 1, 2 (disabled)")
    assert out.splitlines()[1:] == ["playground: http://127.0.0.1:8080/playground"]
    assert "secret" not in out
    assert "app-key" not in out


def test_without_one_it_has_all_that_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    Banner().first_run("http://0.0.0.0:8080", SHOP, LOCAL, LOCAL, playground=True, announced=True, here_only=False)
    out = capsys.readouterr().out
    for text in ("listening on http://0.0.0.0:8080", "app id  1", "key     app-key", "secret  app-secret"):
        assert text in out
    assert "http://127.0.0.1:8080/playground" in out
    assert 'trigger playground hello \'{"text": "Hi"}\'' in out
    assert "wsPort: 8080" in out
    assert "SOUNDPOST_APP_SECRET=app-secret" in out
    assert "\x1b" not in out


def test_the_printed_command_has_what_the_second_shell_cannot_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/srv/my venv/bin/soundpost"])
    command = trigger_command(SHOP, LOCAL._replace(port=9000), announced=True)
    assert command == "'/srv/my venv/bin/soundpost' trigger --port 9000 playground hello '{\"text\": \"Hi\"}'"
    assert "--app-id 1 --key app-key --secret app-secret" in trigger_command(SHOP, LOCAL, announced=False)


def test_an_event_is_one_readable_line() -> None:
    lines = EventLines(as_json=False)
    line = lines.text(ReceivedEvent("shipped", "orders", '{"id":1}'))
    assert line.split("  ")[1:] == ["orders", "shipped", '{"id":1}']
    line = lines.text(ReceivedEvent("client-typing", "presence-x", {"on": True}, "7"))
    assert line.endswith('  client-typing  {"on":true}  (from 7)')


def test_nothing_in_an_event_reaches_the_terminal_as_a_command() -> None:
    line = EventLines(as_json=False).text(ReceivedEvent("a\x1b]0;title\x07", "orders", "one\ntwo\x1b[2J\u202e"))
    assert line.isprintable()
    assert "one\\ntwo" in line


def test_json_lines_have_data_as_it_was_sent() -> None:
    lines = EventLines(as_json=True)
    event = json.loads(lines.text(ReceivedEvent("shipped", "orders", '{"id":1}')))
    assert event.pop("time").endswith("Z")
    assert event == {"channel": "orders", "event": "shipped", "data": '{"id":1}'}
    event = json.loads(lines.text(ReceivedEvent("client-typing", "presence-x", {"on": True}, "7")))
    assert (event["data"], event["user_id"]) == ({"on": True}, "7")
