"""Command ``soundpost init``: what it asks, shows, writes and prints."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soundpost.config import load
from soundpost.tools.setup import writing
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

FLASK = "from flask import Flask\n\napp = Flask(__name__)\napp.secret_key = 'hidden'\n"


def secret_in(directory: Path) -> str:
    return load(environ={}, directory=directory).settings.apps[0].secret


def refuse_to_write(path: Path, *arguments: object, **more: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_folder_without_framework_gets_a_file_only_its_owner_can_read(command_line: CommandLine) -> None:
    result = command_line.run("init")
    file = command_line.directory / "soundpost.toml"
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    loaded = load(environ={}, directory=command_line.directory)
    assert loaded.warnings == []
    assert not loaded.generated
    assert [path.name for path in command_line.directory.iterdir()] == ["soundpost.toml"]
    assert loaded.settings.apps[0].secret not in result.output


def test_a_folder_that_may_not_be_entered_is_left_out(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database's folder, say, which belongs to another user."""
    (command_line.directory / "pgdata").mkdir()
    monkeypatch.setattr(os, "stat", _closed("pgdata/", os.stat))
    assert command_line.run("init").exit_code == 0
    assert secret_in(command_line.directory)


def _closed(folder: str, stat: Callable[..., Any]) -> Callable[..., Any]:
    def refuse_inside(path: Any, *arguments: Any, **more: Any) -> Any:
        if folder in str(path):
            raise PermissionError(13, "Permission denied")
        return stat(path, *arguments, **more)

    return refuse_inside


def test_only_this_machine_reaches_the_server_and_its_playground(command_line: CommandLine) -> None:
    command_line.run("init")
    assert load(environ={}, directory=command_line.directory).settings.server.host == "127.0.0.1"
    file = command_line.directory / "soundpost.toml"
    opened = re.sub(r"^host = .*", 'host = "0.0.0.0"', file.read_text(), flags=re.MULTILINE)
    assert opened != file.read_text(), "docs/deployment.md changes the line in this way"
    file.write_text(opened)
    assert load(environ={}, directory=command_line.directory).settings.server.host == "0.0.0.0"


def test_few_lines_are_printed_and_none_about_other_frameworks(command_line: CommandLine) -> None:
    output = command_line.run("init").stdout
    assert len(output.splitlines()) < 20
    assert 'publish("orders", "OrderPlaced", {"id": 7})' in output
    assert not re.search(r"laravel|REVERB|django|flask", output, re.IGNORECASE)


def test_the_printed_script_compiles(command_line: CommandLine) -> None:
    output = command_line.run("init").stdout
    script = re.findall(r"^ {8}((?:from soundpost|publish).*)$", output, re.MULTILINE)
    assert len(script) == 2
    compile("\n".join(script), "script", "exec")


def test_every_commented_option_is_a_valid_one(command_line: CommandLine) -> None:
    command_line.run("init")
    file = command_line.directory / "soundpost.toml"
    text = file.read_text()
    file.write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert text.count("\n# ") > 10
    app = load(environ={}, directory=command_line.directory).settings.apps[0]
    assert app.rate_limiting.enabled
    assert app.allowed_origins == ("example.com", "*.example.com")


@pytest.mark.parametrize(
    "before",
    [
        b"[server]\nport = 9000\n",
        b"[server]\r\nport = 9000  # mine\r\n",
        b"[server]\nport = 9000",
        b"\xef\xbb\xbf# mine\n",
        b"",
    ],
)
def test_a_file_without_an_app_gets_one_at_its_end(command_line: CommandLine, before: bytes) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_bytes(before)
    file.chmod(0o644)
    result = command_line.run("init")
    after = file.read_bytes()
    assert result.exit_code == 0
    assert after.startswith(before)
    assert after.count(b"\r\n") == (after.count(b"\n") if b"\r\n" in before else 0)
    assert load(environ={}, directory=command_line.directory).warnings == []
    assert "change   soundpost.toml  an app with credentials" in result.stdout
    assert "+[[apps]]" in result.stdout
    assert secret_in(command_line.directory) not in result.output
    assert "mine" not in result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it has a secret now"
    assert command_line.run("init").stdout == "Nothing to do: the project has all of this already.\n"


def test_a_file_shared_with_a_group_stays_so_when_it_gets_an_app(command_line: CommandLine) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text("# mine\n")
    file.chmod(0o640)
    assert command_line.run("init").exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_the_preview_of_an_app_does_not_write_it(command_line: CommandLine) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text("# mine\n")
    assert "+[[apps]]" in command_line.run("init", "--dry-run").stdout
    assert file.read_text() == "# mine\n"


@pytest.mark.parametrize("text", ["apps = []\n", "[apps]\n"])
def test_a_file_to_which_no_app_can_be_added_is_left_alone(command_line: CommandLine, text: str) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text(text)
    result = command_line.run("init")
    assert result.exit_code == 1
    assert result.stderr == (
        "soundpost: soundpost.toml has no app, and none was added, as its 'apps' is not [[apps]]. Correct that, or "
        "replace soundpost.toml with --force\n"
    )
    assert file.read_text() == text


def test_a_second_call_has_nothing_to_do(command_line: CommandLine) -> None:
    command_line.run("init")
    before = (command_line.directory / "soundpost.toml").read_bytes()
    result = command_line.run("init")
    assert (result.exit_code, result.stdout) == (0, "Nothing to do: the project has all of this already.\n")
    assert (command_line.directory / "soundpost.toml").read_bytes() == before


def test_a_link_is_not_written_through(command_line: CommandLine) -> None:
    (command_line.directory / "soundpost.toml").symlink_to(command_line.directory / "elsewhere")
    assert command_line.run("init").exit_code == 1
    assert not (command_line.directory / "elsewhere").exists()


def test_force_replaces_the_credentials_and_closes_the_file_to_others(command_line: CommandLine) -> None:
    file = command_line.directory / "soundpost.toml"
    file.write_text("# mine\n")
    file.chmod(0o644)
    assert command_line.run("init", "--force").exit_code == 0
    assert "[[apps]]" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in command_line.directory.iterdir()] == ["soundpost.toml"]


def test_another_file_gets_credentials_and_no_framework_is_set_up(command_line: CommandLine) -> None:
    (command_line.directory / "app.py").write_text(FLASK)
    result = command_line.run("init", "--config", "other.toml")
    assert (command_line.directory / "other.toml").exists()
    assert "soundpost start --config other.toml" in result.stdout
    assert (command_line.directory / "app.py").read_text() == FLASK
    result = command_line.run("init", "--config", "other.toml")
    assert result.exit_code == 1
    assert "other.toml exists already" in result.stderr


def test_a_directory_that_is_not_there(command_line: CommandLine) -> None:
    result = command_line.run("init", "--config", "none/soundpost.toml")
    assert result.exit_code == 1
    assert result.stderr == "soundpost: none/soundpost.toml: it cannot be written: No such file or directory\n"


def test_other_credentials_that_will_win_are_told(command_line: CommandLine) -> None:
    (command_line.directory / ".env").write_text("REVERB_APP_ID=77\n")
    result = command_line.run("init")
    assert result.exit_code == 0
    assert "warning: .env: REVERB_APP_ID='77': soundpost.toml has no app with the id '77'; it has " in result.stderr


@pytest.mark.parametrize("place", [".env", "the environment"])
@pytest.mark.parametrize("prefix", ["SOUNDPOST", "REVERB"])
def test_credentials_of_the_environment_or_of_env_are_enough(
    command_line: CommandLine, place: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {f"{prefix}_APP_ID": "77", f"{prefix}_APP_KEY": "key-77", f"{prefix}_APP_SECRET": "hush-77"}
    if place == ".env":
        (command_line.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    for name, value in values.items() if place != ".env" else ():
        monkeypatch.setenv(name, value)
    result = command_line.run("init")
    assert result.exit_code == 0
    assert result.stderr == f"note: {place} (app 77) has credentials already, so no soundpost.toml is needed\n"
    assert not (command_line.directory / "soundpost.toml").exists()
    (command_line.directory / "app.py").write_text(FLASK)
    assert command_line.run("init", "--yes").exit_code == 0
    assert "soundpost" in (command_line.directory / "app.py").read_text()
    assert not (command_line.directory / "soundpost.toml").exists()


@pytest.mark.parametrize("place", [".env", "the environment"])
def test_a_file_without_an_app_gets_none_beside_other_credentials(
    command_line: CommandLine, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"SOUNDPOST_APP_ID": "77", "SOUNDPOST_APP_KEY": "key-77", "SOUNDPOST_APP_SECRET": "hush-77"}
    if place == ".env":
        (command_line.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    for name, value in values.items() if place != ".env" else ():
        monkeypatch.setenv(name, value)
    file = command_line.directory / "soundpost.toml"
    file.write_text("[server]\nport = 9000\n")
    result = command_line.run("init")
    assert result.exit_code == 0
    assert result.stderr == f"note: {place} (app 77) has credentials already, so soundpost.toml needs no app\n"
    assert file.read_text() == "[server]\nport = 9000\n"


# A project


def test_a_project_is_shown_and_written(command_line: CommandLine) -> None:
    (command_line.directory / "app.py").write_text(FLASK)
    result = command_line.run("init")
    assert result.exit_code == 0
    assert "Flask: app.py" in result.stdout
    assert "+sp = Soundpost(app)" in result.stdout
    assert "hidden" not in result.stdout
    assert secret_in(command_line.directory) not in result.output
    assert "flask soundpost start" in result.stdout
    assert "sp = Soundpost(app)" in (command_line.directory / "app.py").read_text()


def test_dry_run_writes_nothing(command_line: CommandLine) -> None:
    (command_line.directory / "app.py").write_text(FLASK)
    result = command_line.run("init", "--dry-run")
    assert result.exit_code == 0
    assert "+sp = Soundpost(app)" in result.stdout
    assert "Nothing was written" in result.stdout
    assert [path.name for path in command_line.directory.iterdir()] == ["app.py"]
    assert (command_line.directory / "app.py").read_text() == FLASK


BROKEN = "from fastapi import FastAPI\napp = FastAPI(\nx = 1\n"


def test_a_module_with_a_syntax_error_is_told_with_the_way_out(command_line: CommandLine) -> None:
    main = command_line.directory / "main.py"
    main.write_text(BROKEN)
    result = command_line.run("init")
    assert "Correct main.py, which could not be read: it has a syntax error in line 2." in result.stdout
    assert "from soundpost import publish" not in result.stdout
    assert main.read_text() == BROKEN
    again = command_line.run("init")
    assert again.stdout == ""
    assert again.stderr == (
        "note: main.py could not be read, as it has a syntax error in line 2: correct it, and call init again\n"
    )
    main.write_text(BROKEN.replace("(\nx", "()\nx"))
    assert "Wrote main.py." in command_line.run("init").stdout


@pytest.mark.parametrize("text", ["# flask\nx = (\n", "import flasks\nx = (\n"])
def test_a_syntax_error_elsewhere_is_not_of_interest(command_line: CommandLine, text: str) -> None:
    (command_line.directory / "other.py").write_text(text)
    result = command_line.run("init")
    assert "other.py" not in result.output
    assert "from soundpost import publish" in result.stdout


FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


def test_of_several_modules_none_is_chosen_at_random(command_line: CommandLine) -> None:
    for name in ("a.py", "b.py"):
        (command_line.directory / name).write_text(FASTAPI)
    printed = command_line.run("init").stdout
    assert "uvicorn MODULE:app --reload" in printed
    assert "# MODULE is a or b: the one that you serve" in printed
    (command_line.directory / "b.py").write_text(f"from soundpost.fastapi import Soundpost\n{FASTAPI}")
    assert "uvicorn b:app --reload" in command_line.run("init", "--force").stdout


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (f"{FASTAPI}api = FastAPI()\n", "uvicorn main:APP --reload"),
        ("from flask import Flask\napp = Flask('a')\napi = Flask('b')\n", "flask --app main:APP run"),
    ],
)
def test_of_several_applications_none_is_chosen_at_random(command_line: CommandLine, text: str, command: str) -> None:
    (command_line.directory / "main.py").write_text(text)
    printed = command_line.run("init").stdout
    assert command in printed
    assert "# APP is app or api: the one that you serve" in printed


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"import spacy as sp\n{FASTAPI}", "sp_"),
        (f"from soundpost.fastapi import Soundpost\nlive = Soundpost.from_env()\n{FASTAPI}", "live"),
        (FASTAPI, "sp"),
    ],
)
def test_the_line_for_a_page_has_the_name_of_the_extension(command_line: CommandLine, text: str, name: str) -> None:
    (command_line.directory / "main.py").write_text(text)
    assert f"{{{{ {name}.echo_script(request" in command_line.run("init").stdout


@pytest.mark.parametrize("options", [("--dry-run",), ()])
@pytest.mark.parametrize("text", [FASTAPI, f"sp = 1\n{FASTAPI}"])
def test_no_two_lines_are_empty_one_after_the_other(
    command_line: CommandLine, text: str, options: tuple[str, ...]
) -> None:
    (command_line.directory / "main.py").write_text(text)
    printed = command_line.run("init", *options).stdout
    assert "\n\n\n" not in printed
    assert printed.rstrip("\n") + "\n" == printed


@pytest.mark.parametrize(("answer", "written"), [("\n", True), ("y\n", True), ("n\n", False)])
def test_a_person_is_asked_once(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, answer: str, written: bool
) -> None:
    monkeypatch.setattr("soundpost.tools.cli.init.is_terminal", lambda: True)
    result = command_line.run("init", stdin=answer)
    assert result.stdout.count("Write this?") == 1
    assert (command_line.directory / "soundpost.toml").exists() is written
    assert result.exit_code == (0 if written else 1)
    (command_line.directory / "soundpost.toml").unlink(missing_ok=True)
    assert "Write this?" not in command_line.run("init", "--yes").stdout


def test_a_file_that_cannot_be_written_becomes_lines_to_add(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (command_line.directory / "app.py").write_text(FLASK)
    put = writing._put
    monkeypatch.setattr(writing, "_put", refuse_to_write)
    result = command_line.run("init")
    assert result.exit_code == 0
    assert "Add by hand to app.py, as it cannot be written: Permission denied:" in result.stdout
    assert "    sp = Soundpost(app)" in result.stdout
    assert "Wrote soundpost.toml." in result.stdout
    assert (command_line.directory / "app.py").read_text() == FLASK
    monkeypatch.setattr(writing, "_put", put)
    assert "Wrote app.py." in command_line.run("init").stdout


def test_a_file_that_somebody_changes_meanwhile_is_left_alone(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = command_line.directory / "app.py"
    file.write_text(FLASK)

    def answer() -> bool:
        file.write_text(f"{FLASK}# theirs\n")
        return False

    monkeypatch.setattr("soundpost.tools.cli.init.is_terminal", answer)
    result = command_line.run("init")
    assert "Add by hand to app.py, as another program has changed it meanwhile:" in result.stdout
    assert file.read_text() == f"{FLASK}# theirs\n"


def test_a_project_in_another_directory(command_line: CommandLine, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "shop.py").write_text(FLASK)
    result = command_line.run("init", "--directory", str(project))
    assert result.exit_code == 0
    assert f"cd {project}" in result.stdout
    assert "flask --app shop soundpost start" in result.stdout
    assert sorted(path.name for path in project.iterdir()) == ["shop.py", "soundpost.toml"]
    assert list(command_line.directory.iterdir()) == []


def test_a_module_that_hides_the_package_is_told(command_line: CommandLine) -> None:
    (command_line.directory / "soundpost.py").touch()
    assert "soundpost.py hides the package" in command_line.run("init").stderr


# A repository


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "soundpost.toml\n"),
        ("", "soundpost.toml\n"),
        ("*.pyc\n", "*.pyc\nsoundpost.toml\n"),
        ("*.pyc", "*.pyc\nsoundpost.toml"),
        ("*.pyc\r\n", "*.pyc\r\nsoundpost.toml\r\n"),
        ("# soundpost.toml\n", "# soundpost.toml\nsoundpost.toml\n"),
        ("soundpost.toml\n!*.toml\n", "soundpost.toml\n!*.toml\nsoundpost.toml\n"),
        ("other/soundpost.toml\nsoundpost.toml/\n", "other/soundpost.toml\nsoundpost.toml/\nsoundpost.toml\n"),
        ("soundpost.toml\n", None),
        ("/soundpost.toml", None),
        ("*.toml\r\n", None),
        ("**/soundpost.*\n", None),
        ("*/soundpost.toml\n", "*/soundpost.toml\nsoundpost.toml\n"),
        ("**/**/soundpost.toml\n", None),
    ],
)
def test_the_credentials_stay_out_of_the_repository(
    command_line: CommandLine, before: str | None, after: str | None
) -> None:
    (command_line.directory / ".git").mkdir()
    file = command_line.directory / ".gitignore"
    if before is not None:
        file.write_bytes(before.encode())
    result = command_line.run("init")
    assert (".gitignore" in result.stdout) is (after is not None)
    assert file.read_bytes().decode() == (before if after is None else after)
    assert command_line.run("init").stdout.startswith("Nothing to do")


def test_a_folder_in_a_repository_uses_the_file_at_its_top(command_line: CommandLine) -> None:
    (command_line.directory / ".git").mkdir()
    top = command_line.directory / ".gitignore"
    top.write_text("*.pyc\n")
    below = command_line.directory / "a" / "b"
    below.mkdir(parents=True)
    command_line.run("init", "--directory", str(below))
    assert top.read_text() == "*.pyc\nsoundpost.toml\n"
    top.write_text("/a/\n")
    (below / "soundpost.toml").unlink()
    command_line.run("init", "--directory", str(below))
    assert top.read_text() == "/a/\n"


@pytest.mark.parametrize(
    ("pattern", "is_ignored"),
    [
        ("/a/*.toml", False),
        ("*/soundpost.toml", False),
        ("a/*/soundpost.toml", True),
        ("a/**/soundpost.toml", True),
        ("a/b/**/soundpost.toml", True),
        ("a/**", True),
        ("a/*", True),
        ("**/**/" * 5_000 + "c", False),
    ],
)
def test_a_star_does_not_cross_folders_for_git(command_line: CommandLine, pattern: str, is_ignored: bool) -> None:
    (command_line.directory / ".git").mkdir()
    top = command_line.directory / ".gitignore"
    top.write_text(f"{pattern}\n")
    below = command_line.directory / "a" / "b"
    below.mkdir(parents=True)
    command_line.run("init", "--directory", str(below))
    assert top.read_text() == f"{pattern}\n{'' if is_ignored else 'soundpost.toml' + chr(10)}"


def test_credentials_are_not_read_from_a_pipe(command_line: CommandLine) -> None:
    os.mkfifo(command_line.directory / "soundpost.toml")
    result = command_line.run("init")
    assert result.exit_code == 1
    assert "soundpost.toml has no app, and none was added, as it is not an ordinary file" in result.stderr


def test_names_of_files_do_not_reach_the_terminal_as_they_are(command_line: CommandLine) -> None:
    (command_line.directory / "a\x1b]0;x\x07.py").write_text(FLASK)
    result = command_line.run("init")
    assert "a\\u001b]0;x\\u0007.py" in result.stdout
    assert "\x1b" not in result.output


def test_lines_beside_a_change_do_not_show_secrets(command_line: CommandLine) -> None:
    secrets = (
        "STRIPE_KEY = 'hidden'",
        "SENTRY_DSN = 'https://hidden@example.com'",
        "DATABASE_URL = 'redis://:hidden@h'",
    )
    for secret in secrets:
        (command_line.directory / "app.py").write_text(f"from flask import Flask\n{secret}\napp = Flask(__name__)\n")
        result = command_line.run("init", "--dry-run")
        assert "+sp = Soundpost(app)" in result.stdout
        assert "hidden" not in result.output


def test_a_pipe_is_not_read(command_line: CommandLine) -> None:
    (command_line.directory / ".git").mkdir()
    os.mkfifo(command_line.directory / ".gitignore")
    os.mkfifo(command_line.directory / "app.py")
    result = command_line.run("init")
    assert "Add by hand to .gitignore, as it is not an ordinary file:" in result.stdout


# Laravel


def laravel(directory: Path, env: str | None) -> None:
    (directory / "composer.json").write_text('{"require": {"laravel/framework": "^12", "laravel/reverb": "^1"}}')
    if env is not None:
        (directory / ".env").write_bytes(env.encode("latin-1"))


def test_laravel_gets_the_lines_that_its_env_lacks(command_line: CommandLine) -> None:
    before = 'APP_NAME="Gr\xfc\xdfe"\r\nREVERB_HOST=ws.example.com\r\nBROADCAST_CONNECTION=log\r\nSTRIPE=hidden'
    laravel(command_line.directory, before)
    result = command_line.run("init")
    assert result.exit_code == 0
    after = (command_line.directory / ".env").read_bytes().decode("latin-1")
    assert after.startswith(f"{before}\r\n\r\nREVERB_APP_ID=")
    assert after.endswith('VITE_REVERB_SCHEME="${REVERB_SCHEME}"\r\n')
    assert after.count("REVERB_HOST=") == 2  # with VITE_REVERB_HOST
    secret = re.findall(r"REVERB_APP_SECRET=(\w+)", after)[0]
    assert secret not in result.output
    assert "hidden" not in result.output
    assert "note: events go to 'log': write BROADCAST_CONNECTION=reverb in .env" in result.stderr
    assert not (command_line.directory / "soundpost.toml").exists()
    app = load(environ={}, directory=command_line.directory).settings.apps[0]
    assert app.secret == secret
    assert command_line.run("init").stdout.endswith("Nothing to do: the project has all of this already.\n")


def test_an_env_that_cannot_be_written_is_not_shown(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    laravel(command_line.directory, "APP_NAME=Gr\xfc\xdfe\nSTRIPE=hidden\n")
    monkeypatch.setattr(writing, "_put", refuse_to_write)
    result = command_line.run("init")
    assert result.exit_code == 0
    assert "Add by hand to .env, as it cannot be written: Permission denied:" in result.stdout
    assert "    REVERB_HOST=" in result.stdout
    assert "hidden" not in result.output


def test_laravel_without_env_is_told_how_to_get_one(command_line: CommandLine) -> None:
    laravel(command_line.directory, None)
    result = command_line.run("init")
    assert result.exit_code == 1
    assert result.stderr == "soundpost: there is no .env: copy .env.example to .env first\n"


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--config", "soundpost.toml")])
def test_a_folder_that_has_been_deleted_is_named(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    gone = command_line.directory / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = command_line.run("init", *options)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "soundpost: this folder has been deleted: go to the folder of your project (cd), and call it again"
    ]
