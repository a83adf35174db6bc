"""Commands: help, version, exit codes, init."""

from __future__ import annotations

import re
import stat
import subprocess
import sys

import pytest

import soundpost
from soundpost.config import load
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]


def test_version(command_line: CommandLine) -> None:
    result = command_line.run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"soundpost {soundpost.__version__}\n"


COMMANDS = ("bench", "deploy", "doctor", "events", "init", "listen", "reload", "restart", "start", "status", "trigger")


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
    assert result.stderr == "soundpost: soundpost.toml: [server]: unknown key 'prot'; did you mean 'port'?\n"


def test_a_missing_configuration_file_is_exit_code_1(command_line: CommandLine) -> None:
    result = command_line.run("start", "--config", "none.toml")
    assert result.exit_code == 1
    assert result.stderr == "soundpost: none.toml: there is no such file: 'soundpost init' writes one\n"


def test_init_writes_a_file_only_its_owner_can_read(command_line: CommandLine) -> None:
    result = command_line.run("init")
    file = command_line.directory / "soundpost.toml"
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    loaded = load(environ={}, directory=command_line.directory)
    assert loaded.warnings == []
    assert not loaded.generated
    (app,) = loaded.settings.apps
    for text in (
        f"SOUNDPOST_APP_ID={app.id}",
        f"SOUNDPOST_APP_SECRET={app.secret}",
        "SOUNDPOST_PORT=8080",
        f"REVERB_APP_KEY={app.key}",
        'VITE_REVERB_HOST="${REVERB_HOST}"',
        f"key: '{app.key}'",
        "wsPort: 8080",
    ):
        assert text in result.stdout
    assert [path.name for path in command_line.directory.iterdir()] == ["soundpost.toml"]


def test_every_commented_option_of_init_is_a_valid_one(command_line: CommandLine) -> None:
    command_line.run("init")
    file = command_line.directory / "soundpost.toml"
    text = file.read_text()
    file.write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert text.count("\n# ") > 10
    app = load(environ={}, directory=command_line.directory).settings.apps[0]
    assert app.rate_limiting.enabled
    assert app.allowed_origins == ("example.com", "*.example.com")


def test_init_never_overwrites(command_line: CommandLine) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text("# mine\n")
    result = command_line.run("init")
    assert result.exit_code == 1
    assert result.stderr == (
        "soundpost: soundpost.toml exists already and was left as it is; "
        "--force replaces it, and its credentials with it\n"
    )
    assert file.read_text() == "# mine\n"


def test_init_does_not_write_through_a_link(command_line: CommandLine) -> None:
    (command_line.directory / "soundpost.toml").symlink_to(command_line.directory / "elsewhere")
    assert command_line.run("init").exit_code == 1
    assert not (command_line.directory / "elsewhere").exists()


def test_init_replaces_when_told_to_and_keeps_the_mode(command_line: CommandLine) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text("# mine\n")
    file.chmod(0o644)
    assert command_line.run("init", "--force").exit_code == 0
    assert "[[apps]]" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in command_line.directory.iterdir()] == ["soundpost.toml"]


def test_init_elsewhere(command_line: CommandLine) -> None:
    result = command_line.run("init", "--config", "other.toml")
    assert (command_line.directory / "other.toml").exists()
    assert "soundpost start --config other.toml" in result.stdout


def test_init_into_a_directory_that_is_not_there(command_line: CommandLine) -> None:
    result = command_line.run("init", "--config", "none/soundpost.toml")
    assert result.exit_code == 1
    assert result.stderr == "soundpost: none/soundpost.toml cannot be written: No such file or directory\n"


def test_init_says_so_when_other_credentials_will_win(command_line: CommandLine) -> None:
    (command_line.directory / ".env").write_text("REVERB_APP_ID=77\n")
    result = command_line.run("init")
    assert result.exit_code == 0
    assert "warning: .env: REVERB_APP_ID='77' takes the place of soundpost.toml: [[apps]] no. 1: id=" in result.stderr
