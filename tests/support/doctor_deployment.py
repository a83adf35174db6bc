"""Deployments of real processes for the doctor: server, Nginx and Redis as a page of the documentation says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from support.cli_process import Process, Shell
from support.doctor_stage import Stage

SECRET: Final = "river-8-lantern"
APP: Final = f'[[apps]]\nid = "1"\nkey = "key-1"\nsecret = "{SECRET}"\n'
CREDENTIALS: Final = f"SOUNDPOST_APP_ID=1\nSOUNDPOST_APP_KEY=key-1\nSOUNDPOST_APP_SECRET={SECRET}\n"
AHEAD: Final = (
    "import sys, time; real = time.time; time.time = lambda: real() + 3650; "
    "sys.argv[0] = 'soundpost'; from soundpost.tools.cli.app import main; main()"
)
"""The command line in a process whose clock is an hour and 50 s ahead: "36…" s also after a slow request."""


class Verdict(NamedTuple):
    """Verdict of the doctor: ids, and the exit code."""

    faults: tuple[str, ...] = ()
    follow: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    code: int = 0


class Machine:
    """A machine on which a server is deployed as docs/deployment.md says: Nginx with TLS in front of 127.0.0.1."""

    def __init__(self, sh: Shell, on: Stage) -> None:
        self.sh, self.on = sh, on
        self.port = on.free_port()
        self.server: Process | None = None

    def configure(self, server: str = "", app: str = "", scaling: str = "", host: str = "127.0.0.1") -> None:
        """Write ``soundpost.toml``."""
        text = f'[server]\nhost = "{host}"\nport = {self.port}\n{server}\n{scaling}\n{APP}{app}'
        file = self.sh.directory / "soundpost.toml"
        file.write_text(text)
        file.chmod(0o600)

    def start(self, *arguments: str) -> None:
        """Start the server of ``soundpost.toml``."""
        self.server = self.sh.start("start", *arguments)
        self.server.wait_for_start()

    def deployed(self, proxy: int, server: str = "", app: str = "", scaling: str = "") -> None:
        """Configure and start the server behind an Nginx at ``proxy``, with ``public_url``."""
        self.configure(f'public_url = "https://localhost:{proxy}"\n{server}', app, scaling)
        self.start()

    def proxy(self, **more: Any) -> int:
        """Start an Nginx with TLS that forwards everything to the server; return its port."""
        return self.on.proxy(**{"tls": self.on.certificate(), "upstream": self.port, **more})

    def nginx(self, server: str, *, tls: bool = True) -> int:
        """Start an Nginx with this in its server block; return its port."""
        return self.on.nginx(server, tls=self.on.certificate() if tls else None, upstream=self.port)

    def file(self, name: str, text: str) -> Path:
        """Write a file into the folder of ``soundpost.toml``."""
        path = self.sh.directory / name
        path.write_text(text)
        return path


Arguments = tuple[str, ...]


class SetUp(NamedTuple):
    """A deployment, and what the doctor must say about it."""

    name: str
    build: Callable[[Machine], Arguments]
    verdict: Verdict
    says: tuple[str, ...]


TABLE: Final[list[SetUp]] = []


def deployment(
    name: str,
    *faults: str,
    follow: Arguments = (),
    warnings: Arguments = (),
    says: Arguments = (),
) -> Callable[[Callable[[Machine], Arguments]], None]:
    """Add a deployment to the table: ``faults`` are the causes, ``says`` texts that the output must have."""

    def add(build: Callable[[Machine], Arguments]) -> None:
        TABLE.append(SetUp(name, build, Verdict(faults, follow, warnings, int(bool(faults))), says))

    return add


def examined(machine: Machine, arguments: Arguments) -> tuple[Verdict, str]:
    """Run the doctor for programs and for people; return the verdict, and the text in one line."""
    clock, arguments = ("AHEAD" in arguments), tuple(each for each in arguments if each != "AHEAD")
    command = [sys.executable, *(("-c", AHEAD) if clock else ("-m", "soundpost")), "doctor", *arguments]
    for_programs, for_people = (
        subprocess.run(
            [*command, *more],
            cwd=machine.sh.directory,
            env={**machine.sh.environ, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for more in (["--json"], [])
    )
    text = " ".join(for_people.stdout.split())
    assert for_programs.returncode == for_people.returncode, text
    steps = json.loads(for_programs.stdout)
    for step in steps:
        assert (step["docs"] or "").endswith(f"/doctor/#{step['code']}") == (step["code"] is not None), step
    found = Verdict(_ids(steps, "fault"), _ids(steps, "follows"), _ids(steps, "warning"), for_people.returncode)
    return found, text


def row(name: str, verdict: Verdict) -> str:
    """Return a line of the table of deployments: ``pytest -rP`` prints the table."""
    cells = (name, *(", ".join(ids) or "–" for ids in verdict[:3]), f"exit code {verdict.code}")
    return f"| {' | '.join(cells)} |"


def _ids(steps: list[dict[str, Any]], status: str) -> Arguments:
    return tuple(step["code"] for step in steps if step["status"] == status)
