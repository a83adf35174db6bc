"""``soundpost doctor`` as a command: what it says, its exit codes, what it finds out for itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import typer

from soundpost.errors import ConfigurationError
from soundpost.tools.cli import doctor_plan
from soundpost.tools.cli.doctor import doctor
from soundpost.tools.doctor import CheckPlan
from support.cli_process import Shell, shell
from support.doctor_env_cases import BACKEND, FRONTEND
from support.doctor_stage import FORWARDED, Stage, stage
from support.harness import RunningServer

APP: Final = '[[apps]]\nid = "1"\nkey = "key-1"\nsecret = "river-8-lantern"\n'
"""An app with a secret that no documentation shows."""


MANAGE: Final = """\
from pathlib import Path
from soundpost.config.application import ApplicationServer
from soundpost.tools.cli.calling_application import CallingApplication
from soundpost.tools.cli.framework_commands import run_command

server = ApplicationServer(
    name="Django",
    location="settings.SOUNDPOST",
    app={{"id": "1", "key": "app-key", "secret": "app-secret"}},
    backend={{"host": "127.0.0.1", "port": {port}, "scheme": "http", "path": ""}},
    public={{}},
    is_here=True,
)
run_command(CallingApplication(server, Path()), ["doctor"], "manage.py soundpost")
"""


@pytest.fixture(name="sh")
def _shell(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


@pytest.fixture(name="on")
def _stage(tmp_path: Path, server: RunningServer, sh: Shell) -> Iterator[Stage]:
    folder = tmp_path / "stage"
    folder.mkdir()
    with stage(folder, server) as made:
        sh.environ["SSL_CERT_FILE"] = str(made.authority.file)
        yield made


def configure(sh: Shell, port: int, more: str = "") -> None:
    file = sh.directory / "soundpost.toml"
    file.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\n{more}\n{APP}')
    file.chmod(0o600)


def start(sh: Shell) -> None:
    sh.start("start").wait_for_start()


def test_a_server_without_a_proxy_is_healthy(sh: Shell, on: Stage) -> None:
    configure(sh, on.free_port())
    start(sh)
    done = sh.run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "No fault found."
    assert done.stderr == ""


def test_a_server_started_with_credentials_for_one_run_is_found(sh: Shell) -> None:
    sh.server()
    done = sh.run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arrived at all of them" in done.stdout


def test_nginx_with_tls_in_front_is_healthy(sh: Shell, on: Stage) -> None:
    port = on.free_port()
    configure(sh, port)
    proxy = on.proxy(tls=on.certificate(), upstream=port)
    (sh.directory / ".env").write_text(
        f"SOUNDPOST_PUBLIC_HOST=localhost\nSOUNDPOST_PUBLIC_PORT={proxy}\nSOUNDPOST_PUBLIC_SCHEME=https\n"
    )
    start(sh)
    done = sh.run("doctor", "--connections", "100")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"As a browser: https://localhost:{proxy}" in done.stdout
    assert f"As a backend: http://127.0.0.1:{port}" in done.stdout
    assert done.stdout.splitlines()[-1] == "No fault found."


def test_addresses_as_options(sh: Shell, on: Stage) -> None:
    proxy = on.proxy(tls=on.certificate())
    done = sh.run(
        *("doctor", "--url", f"https://localhost:{proxy}", "--backend-url", f"http://127.0.0.1:{on.server.port}"),
        *("--app-id", "1", "--key", "app-key", "--secret", "app-secret", "--json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = json.loads(done.stdout)
    assert {step["status"] for step in steps} <= {"ok", "skipped"}
    assert steps[-1]["check"] == "delivery"
    assert set(steps[0]) == {"check", "name", "status", "code", "message", "fix", "follows_from", "docs"}


def test_the_whole_address_of_a_socket_will_do(sh: Shell, on: Stage) -> None:
    url = f"ws://127.0.0.1:{on.server.port}/app/app-key?protocol=7&client=js"
    done = sh.run("doctor", "--url", url)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fault_is_told_with_its_id_and_what_to_do(sh: Shell, on: Stage) -> None:
    port = on.nginx("location / { proxy_pass http://UPSTREAM; proxy_http_version 1.1; }")
    done = sh.run("doctor", "--url", f"http://127.0.0.1:{port}", "--key", "app-key")
    assert done.returncode == 1
    assert "✗ WebSocket" in done.stdout
    assert "[upgrade-header-lost]" in done.stdout
    assert "→ Put into the location of Nginx: 'proxy_http_version 1.1;'" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 fault found."


def test_a_fault_for_machines(sh: Shell, on: Stage) -> None:
    done = sh.run("doctor", "--url", f"http://127.0.0.1:{on.closed_port()}", "--key", "k", "--json")
    assert done.returncode == 1
    (fault,) = [step for step in json.loads(done.stdout) if step["status"] == "fault"]
    assert fault["code"] == "tcp-refused"
    assert fault["fix"]


def test_a_server_on_a_unix_socket_behind_nginx_is_healthy(sh: Shell, on: Stage) -> None:
    folder = Path(on.stack.enter_context(tempfile.TemporaryDirectory(prefix="soundpost-")))
    folder.chmod(0o755)  # Nginx's workers are another user's
    path = folder / "soundpost.sock"
    configure(sh, 8080, f'unix_socket = "{path}"')
    proxy = on.nginx(f"location / {{ proxy_pass http://unix:{path}; {FORWARDED} }}")
    (sh.directory / ".env").write_text(f"SOUNDPOST_HOST=localhost\nSOUNDPOST_PORT={proxy}\n")
    start(sh)
    done = sh.run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"runs at unix:{path}" in " ".join(done.stdout.split())


def test_a_configured_server_that_does_not_run(sh: Shell, on: Stage) -> None:
    configure(sh, on.closed_port())
    done = sh.run("doctor")
    assert done.returncode == 1
    assert "[server-not-running]" in done.stdout


def test_a_configuration_that_cannot_be_used(sh: Shell) -> None:
    (sh.directory / "soundpost.toml").write_text('[server]\nprot = 8080\n[[apps]]\nid = "1"\n')
    done = sh.run("doctor")
    assert done.returncode == 1
    assert "[configuration-invalid]" in done.stdout
    assert "did you mean 'port'?" in " ".join(done.stdout.split())


def test_a_broken_configuration_here_does_not_hinder_a_look_elsewhere(sh: Shell, on: Stage) -> None:
    (sh.directory / "soundpost.toml").write_text("[server]\nprot = 8080\n")
    done = sh.run("doctor", "--url", f"http://127.0.0.1:{on.server.port}", "--key", "app-key")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "code", "way_out"),
    [
        (("--key", "typo"), "app-key-unknown", "Compare it with 'key' in the server's soundpost.toml"),
        (
            ("--key", "app-key", "--app-id", "1", "--secret", "typo"),
            "app-secret-wrong",
            "Compare it with 'secret' in the server's soundpost.toml",
        ),
    ],
)
def test_a_wrong_credential_of_an_option_is_not_looked_for_in_a_build(
    sh: Shell, on: Stage, options: tuple[str, ...], code: str, way_out: str
) -> None:
    done = sh.run("doctor", "--url", f"http://127.0.0.1:{on.server.port}", *options)
    assert f"[{code}]" in done.stdout
    assert f"→ {way_out}" in " ".join(done.stdout.split())


def test_env_files_alone(sh: Shell) -> None:
    (sh.directory / "backend.env").write_text(BACKEND)
    (sh.directory / "frontend.env").write_text(
        FRONTEND.replace("ws.example.com", "ws.nowhere.invalid").replace('"${REVERB_APP_KEY}"', "old-key")
    )
    done = sh.run("doctor", "--env", "backend.env", "--env", "frontend.env", "--json")
    assert done.returncode == 1
    steps = json.loads(done.stdout)
    assert [step["code"] for step in steps if step["code"]][:2] == ["env-frontend-key-differs", "dns-unknown"]


def test_the_public_name_given_to_the_backend(sh: Shell, on: Stage) -> None:
    """All from the configuration here: the address applications are told is that of Nginx, which has no /apps."""
    port = on.free_port()
    configure(sh, port)
    proxy = on.nginx(
        f"location /app/ {{ proxy_pass http://UPSTREAM; {FORWARDED} }}", tls=on.certificate(), upstream=port
    )
    (sh.directory / ".env").write_text(
        f"SOUNDPOST_HOST=localhost\nSOUNDPOST_PORT={proxy}\nSOUNDPOST_SCHEME=https\nVITE_REVERB_SCHEME=https\n"
    )
    start(sh)
    done = sh.run("doctor", "--json")
    codes = [step["code"] for step in json.loads(done.stdout) if step["status"] == "fault"]
    assert codes == ["public-address-in-backend"]


def test_the_settings_of_an_application_are_examined(sh: Shell, on: Stage) -> None:
    """As 'manage.py soundpost doctor' calls it: the folder has the configuration of another server."""
    configure(sh, on.closed_port())
    (sh.directory / "manage.py").write_text(MANAGE.format(port=on.server.port))
    done = subprocess.run(
        [sys.executable, "manage.py"], cwd=sh.directory, env=sh.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"As a backend: http://127.0.0.1:{on.server.port} (settings.SOUNDPOST)" in done.stdout
    assert "the secret of app 1 in settings.SOUNDPOST is an example" in " ".join(done.stdout.split())
    assert "arrived at all of them" in done.stdout


def test_a_server_embedded_in_a_site_is_examined_at_the_site_s_address(sh: Shell, on: Stage) -> None:
    (sh.directory / "manage.py").write_text(
        MANAGE.format(port=on.closed_port()).replace(
            "is_here=True,", f'is_here=False, site_url="http://127.0.0.1:{on.server.port}",'
        )
    )
    done = subprocess.run(
        [sys.executable, "manage.py"], cwd=sh.directory, env=sh.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"As a browser: http://127.0.0.1:{on.server.port} (settings.SOUNDPOST: the site's address)" in done.stdout
    assert "arrived at all of them" in done.stdout


def test_a_site_that_does_not_run_is_to_be_started(sh: Shell, on: Stage) -> None:
    (sh.directory / "manage.py").write_text(
        MANAGE.format(port=8080).replace(
            "is_here=True,", f'is_here=False, site_url="http://127.0.0.1:{on.closed_port()}",'
        )
    )
    done = subprocess.run(
        [sys.executable, "manage.py"], cwd=sh.directory, env=sh.environ, capture_output=True, text=True, check=False
    )
    text = " ".join(done.stdout.split())
    assert done.returncode == 1, text
    assert "Start the site, in which the server is embedded" in text
    assert "8080" not in text


def test_what_follows_from_a_fault_is_not_counted(sh: Shell, on: Stage) -> None:
    configure(sh, on.closed_port())
    done = sh.run("doctor")
    text = " ".join(done.stdout.split())
    assert text.count("follows from [server-not-running] above") == 2
    assert text.endswith("1 fault found; the rest follows from it.")


def test_the_address_in_the_documentation_is_told(sh: Shell, on: Stage) -> None:
    configure(sh, on.closed_port())
    address = "https://soundpost.readthedocs.io/en/stable/doctor/#server-not-running"
    assert f"[server-not-running] {address}" in sh.run("doctor").stdout
    (fault,) = [step for step in json.loads(sh.run("doctor", "--json").stdout) if step["status"] == "fault"]
    assert fault["docs"] == address


def test_too_few_open_files_of_this_shell(sh: Shell) -> None:
    command = f"ulimit -n 300; exec {sys.executable} -m soundpost doctor --connections 5000 --json"
    done = subprocess.run(
        ["sh", "-c", command], cwd=sh.directory, env=sh.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    (fault,) = [step for step in json.loads(done.stdout) if step["code"] == "open-files-too-low"]
    assert fault["message"] == (
        "a server started from this shell may open 300 files, 5128 are needed for 5000 connections"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--url", "ws.example.com", "--key", "k"),
        ("--url", "https://ws.example.com"),
        ("--backend-url", "nowhere", "--url", "https://ws.example.com", "--key", "k"),
        ("--connections", "0"),
        ("--nonsense",),
    ],
)
def test_wrong_usage_ends_with_status_2(sh: Shell, arguments: tuple[str, ...]) -> None:
    done = sh.run("doctor", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""


def test_help_has_examples(sh: Shell) -> None:
    done = sh.run("doctor", "--help")
    assert done.returncode == 0
    assert "soundpost doctor --url https://ws.example.com" in " ".join(done.stdout.split())


def test_a_configuration_of_another_user_asks_for_rights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: root, as which tests may run, reads every file."""

    def closed(options: object) -> CheckPlan:
        raise ConfigurationError(f"cannot read soundpost.toml in {tmp_path}: Permission denied")

    monkeypatch.setattr(doctor_plan, "plan_of", closed)
    with pytest.raises(typer.Exit):
        doctor()
    assert "sudo soundpost doctor" in " ".join(capsys.readouterr().out.split())
