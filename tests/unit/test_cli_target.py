"""Which server and which app trigger and listen talk to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from soundpost.errors import ConfigurationError
from soundpost.tools.cli.running_server import write_server_file
from soundpost.tools.cli.target import Target, TargetOptions, resolve
from support.command_line import CommandLine, command_line
from support.configuration import APP_TABLE

__all__ = ["command_line"]

ALL = ("app_id", "key", "secret")


def write(command_line: CommandLine, text: str, name: str = "soundpost.toml") -> None:
    (command_line.directory / name).write_text(text)


def target(base_url: str, number: int = 1) -> Target:
    return Target(base_url, str(number), f"key-{number}", f"secret-{number}")


@pytest.mark.usefixtures("command_line")
def test_whole_options_need_no_configuration() -> None:
    write_bad = Path("soundpost.toml")
    write_bad.write_text("not toml")
    wanted = TargetOptions(url="https://ws.example.com/ws", app_id="1", key="key-1", secret="secret-1")
    assert resolve(wanted, ALL) == target("https://ws.example.com/ws")


@pytest.mark.parametrize("path", ["/a b", "../app", "/w?s", "x\ny"])
def test_a_path_that_no_server_has_is_a_wrong_option(command_line: CommandLine, path: str) -> None:
    result = command_line.run("trigger", "orders", "shipped", "--path", path)
    assert (result.exit_code, "is not a path" in result.output) == (2, True)


@pytest.mark.usefixtures("command_line")
@pytest.mark.parametrize(
    ("wanted", "url"),
    [
        (TargetOptions(host="a.example", key="k"), "http://a.example:8080"),
        (TargetOptions(host="a.example", port=443, key="k"), "https://a.example:443"),
        (TargetOptions(host="a.example", scheme="https", key="k"), "https://a.example:443"),
        (TargetOptions(host="a.example", scheme="http", path="ws/", key="k"), "http://a.example:80/ws"),
        (TargetOptions(host="::1", port=9000, key="k"), "http://[::1]:9000"),
    ],
)
def test_addresses_made_of_options(wanted: TargetOptions, url: str) -> None:
    assert resolve(wanted, ("key",)).base_url == url


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("", "http://127.0.0.1:8080"),
        ("host = '0.0.0.0'\nport = 9000\npath = '/ws'\n", "http://127.0.0.1:9000/ws"),
        ("host = '::'\n", "http://[::1]:8080"),
        ("host = '10.1.2.3'\n", "http://10.1.2.3:8080"),
        ("hostname = 'ws.example.com'\n", "http://127.0.0.1:8080"),
        (
            "hostname = 'ws.example.com'\nport = 443\ntls = { certificate = 'c.pem' }\n",
            "https://ws.example.com:443",
        ),
    ],
)
def test_the_configured_server_is_reached_on_this_machine(command_line: CommandLine, server: str, url: str) -> None:
    write(command_line, f"[server]\n{server}{APP_TABLE}")
    assert resolve(TargetOptions(), ALL) == target(url)


@pytest.mark.parametrize(
    ("lines", "url"),
    [
        ("SOUNDPOST_HOST=ws.example.com\nSOUNDPOST_PORT=443\nSOUNDPOST_SCHEME=https\n", "https://ws.example.com:443"),
        ("SOUNDPOST_HOST=ws.example.com\nSOUNDPOST_SCHEME=https\n", "https://ws.example.com:443"),
        ("REVERB_HOST=ws.example.com\nREVERB_PORT=443\n", "https://ws.example.com:443"),
        ("SOUNDPOST_HOST=soundpost\nSOUNDPOST_PATH=ws\n", "http://soundpost:8080/ws"),
    ],
)
def test_events_go_where_the_application_would_publish_them(command_line: CommandLine, lines: str, url: str) -> None:
    write(command_line, APP_TABLE)
    write(command_line, lines, ".env")
    assert resolve(TargetOptions(), ALL) == target(url)


def test_a_port_alone_means_this_machine(command_line: CommandLine) -> None:
    write(command_line, APP_TABLE)
    write(command_line, "SOUNDPOST_HOST=ws.example.com\nSOUNDPOST_SCHEME=https\n", ".env")
    assert resolve(TargetOptions(port=9000), ALL) == target("http://127.0.0.1:9000")


def test_an_app_is_chosen_by_id_or_key(command_line: CommandLine) -> None:
    write(command_line, APP_TABLE + APP_TABLE.replace("1", "2"))
    assert resolve(TargetOptions(app_id="2"), ALL) == target("http://127.0.0.1:8080", 2)
    assert resolve(TargetOptions(key="key-2"), ALL) == target("http://127.0.0.1:8080", 2)


@pytest.mark.parametrize("file", [".env", "environment"])
def test_an_app_is_chosen_by_its_variable(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    write(command_line, APP_TABLE + APP_TABLE.replace("1", "2"))
    if file == ".env":
        write(command_line, "SOUNDPOST_APP_ID=2\n", file)
    else:
        monkeypatch.setenv("SOUNDPOST_APP_ID", "2")
    assert resolve(TargetOptions(), ALL) == target("http://127.0.0.1:8080", 2)
    assert resolve(TargetOptions(app_id="1"), ALL) == target("http://127.0.0.1:8080", 1)
    assert resolve(TargetOptions(key="key-1"), ALL) == target("http://127.0.0.1:8080", 1)


def test_an_app_that_is_not_configured_is_refused_with_those_that_are(command_line: CommandLine) -> None:
    write(command_line, APP_TABLE + APP_TABLE.replace("1", "2"))
    with pytest.raises(ConfigurationError, match="no configured app has this --app-id; configured are the apps 1, 2"):
        resolve(TargetOptions(app_id="3"), ALL)


@pytest.mark.usefixtures("command_line")
def test_a_server_that_runs_here_needs_no_options() -> None:
    write_server_file(8080, "http://127.0.0.1:8080", "1", "key-1", "secret-1")
    expected = replace(target("http://127.0.0.1:8080"), for_this_run=True)
    assert resolve(TargetOptions(), ALL) == expected
    assert resolve(TargetOptions(host="127.0.0.1", port=8080), ALL) == expected


@pytest.mark.usefixtures("command_line")
def test_the_secret_of_a_server_here_is_not_for_another_machine() -> None:
    write_server_file(8080, "http://127.0.0.1:8080", "1", "key-1", "secret-1")
    with pytest.raises(ConfigurationError):
        resolve(TargetOptions(host="other.example"), ALL)


def test_a_configured_app_wins_over_a_server_that_runs_here(command_line: CommandLine) -> None:
    write_server_file(9000, "http://127.0.0.1:9000", "2", "key-2", "secret-2")
    write(command_line, APP_TABLE)
    assert resolve(TargetOptions(), ALL) == target("http://127.0.0.1:8080")


@pytest.mark.usefixtures("command_line")
def test_without_anything_the_ways_out_are_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(TargetOptions(port=9000), ("key",))
    assert str(caught.value) == (
        "no app is configured here and no server with credentials of its own runs on port 9000: start one with "
        "'soundpost start', set SOUNDPOST_APP_KEY, or give --key"
    )
