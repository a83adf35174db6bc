"""Commands: help, version, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import soundpost
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]


def test_version_prints_name_and_version(command_line: CommandLine) -> None:
    result = command_line.run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"soundpost {soundpost.__version__}\n"


COMMANDS = (
    "bench",
    "dashboard",
    "deploy",
    "doctor",
    "events",
    "history",
    "init",
    "listen",
    "reload",
    "restart",
    "start",
    "status",
    "stop",
    "top",
    "trigger",
    "webhooks",
)


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS), ("types",)])
def test_help_has_examples(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    result = command_line.run(*arguments, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.stdout
    assert "soundpost start" in result.stdout or f"soundpost {arguments[0]} " in result.stdout


def test_help_loads_neither_server_nor_http_library() -> None:
    script = (
        "import sys; from soundpost.tools.cli.app import main; sys.argv = ['soundpost', '--version']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'asyncio', 'uvloop', 'httpx', 'websockets', 'msgspec', 'httptools'}"
        " | {name for name in sys.modules if name.startswith('soundpost.server')}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'([\w.]+)'", done.stdout.splitlines()[-1]))
    assert loaded <= {"asyncio"}


def test_importing_the_package_stays_light() -> None:
    script = (
        "import sys, soundpost; print([m for m in ('httpx', 'websockets', 'typer', 'msgspec') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("strat",),
        ("start", "--prot", "1"),
        ("start", "--port", "eighty"),
        ("trigger", "only-a-channel"),
        ("listen",),
        ("history",),
        ("history", "news", "--limit", "0"),
        ("history", "news", "--delete", "--json"),
        ("history", "news", "--delete", "--after", "a.1"),
        ("listen", "orders", "--count", "0"),
        ("trigger", "a", "b", "--url", "http://127.0.0.1", "--port", "1"),
        ("trigger", "a", "b", "--url", "127.0.0.1:8080"),
        ("trigger", "a", "b", "--scheme", "ftp"),
        ("trigger", "a", "b", "--host", "x", "--port", "70000"),
    ],
)
def test_wrong_usage_is_exit_code_2(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    assert command_line.run(*arguments).exit_code == 2


def test_a_wrong_setting_is_exit_code_1_and_one_line(command_line: CommandLine) -> None:
    (command_line.directory / "soundpost.toml").write_text("[server]\nprot = 1\n")
    result = command_line.run("start")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.endswith(
        " ERROR soundpost.server: soundpost.toml: [server]: unknown key 'prot'; did you mean 'port'?\n"
    )
    assert result.stderr.count("\n") == 1


def test_a_missing_configuration_file_is_exit_code_1(command_line: CommandLine) -> None:
    result = command_line.run("start", "--config", "none.toml")
    assert result.exit_code == 1
    assert result.stderr.endswith(" none.toml: there is no such file: 'soundpost init' writes one\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        *((name,) for name in COMMANDS),
        *(("webhooks", name) for name in ("listen", "test", "status")),
        ("types",),
        ("deploy", "nginx"),
        ("deploy", "kubernetes"),
    ],
)
def test_help_has_no_types_of_python(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    help = command_line.run(*arguments, "--help").stdout
    for foreign in ("<", "range", "list[", "x>=", "{", "Path]"):
        assert foreign not in help.replace("[default: {}]", "").replace("'{}'", "").replace('\'{"hello"', ""), help


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("trigger", "soundpost trigger [OPTIONS] CHANNEL EVENT [DATA]"),
        ("listen", "soundpost listen [OPTIONS] CHANNEL..."),
        ("history", "soundpost history [OPTIONS] CHANNEL"),
        ("types", "soundpost types [OPTIONS] MODULES..."),
        ("start", "soundpost start [OPTIONS]"),
    ],
)
def test_the_usage_has_the_usual_form(command_line: CommandLine, command: str, usage: str) -> None:
    assert f"Usage: {usage}\n" in re.sub(r" +\n", "\n", command_line.run(command, "--help").stdout)


def test_help_shows_the_names_of_tables(command_line: CommandLine) -> None:
    assert "[[apps.history]]" in command_line.run("history", "--help").stdout
    assert "[[apps.webhooks]]" in command_line.run("webhooks", "--help").stdout


@pytest.mark.parametrize("columns", ["80", "60"])
def test_paragraphs_of_help_are_wrapped_once(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = command_line.run("listen", "--help").stdout.partition("Private and presence")[2].partition("Examples")[0]
    first, *others = [line.strip() for line in text.splitlines() if line.strip()]
    assert others, text
    for line, following in zip(["Private and presence" + first, *others], others, strict=False):
        assert len(line) + len(following.split()[0]) + 2 >= int(columns) - 2, text


def test_a_choice_is_shown_with_its_words(command_line: CommandLine) -> None:
    assert "public|internal" in command_line.run("deploy", "nginx", "--help").stdout


@pytest.mark.parametrize(
    "arguments", [("init", "--config"), ("doctor", "--env"), ("deploy", "nginx", "--server-name", "a.b", "--root")]
)
def test_a_path_that_is_too_long_is_told_in_one_line(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    result = command_line.run(*arguments, 300 * "x")
    assert result.exit_code == 2
    assert result.stderr == "soundpost: a path in the arguments is too long\n"


def test_an_argument_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    app = ["--app-id", "1", "--key", "k", "--secret", "s"]
    calls: list[list[str | bytes]] = [["trigger", b"\xff", "e", *app], ["history", b"\xff", *app]]
    for arguments in calls:
        run = subprocess.run(
            [sys.executable, "-m", "soundpost", *arguments, "--port", "1"], capture_output=True, text=True, cwd=tmp_path
        )
        assert run.returncode == 2
        assert run.stderr == "soundpost: '\\udcff' in the arguments is not UTF-8\n"
