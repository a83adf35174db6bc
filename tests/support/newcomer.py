"""A newcomer who follows a page of the documentation: copies its files, types its commands, looks at its page.

The newcomer begins in an empty folder, with nothing in the environment that the page does not set. Commands that
install something are left out, since the tests have everything installed. Servers get free ports.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from soundpost.pusher import Pusher
from soundpost.wire.webhook_request import webhook_headers
from support.docs_project import clean_environment
from support.ending import end
from support.harness import until
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

PACKAGES: Final = Path(__file__).parents[1] / "clients/node_modules"
_INSTALLS: Final = re.compile(r"mkdir |cd live$|python3 -m venv |\. \.venv/|pip install |npm (?:init|install) ")
_REALTIME: Final = re.compile(r"(?:(?:python manage\.py|flask) )?soundpost start\b")
_SITES: Final = {
    "python manage.py runserver": "python manage.py runserver --noreload 127.0.0.1:{port}",
    "flask run": "flask run --port {port}",
    "uvicorn main:app --reload": "uvicorn main:app --port {port}",
    "npx vite preview": "npx vite preview --host 127.0.0.1 --port {port}",
}
"""Commands of the pages that serve a site, and how they are started on another port."""
_SUPERUSER: Final = "python manage.py createsuperuser --username "
PASSWORD: Final = "orange-lamp-42"
"""The password that the newcomer types when ``createsuperuser`` asks for one."""
_STARTED: Final = ("python prices.py",)
"""Programs that run until somebody ends them."""
_TIME: Final = 60
_FENCE: Final = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_PLACE: Final = re.compile(r"(?:#|//|<!--) ([\w./-]+\.\w+)(, at the end)?(?: -->)?\n")


class Block(NamedTuple):
    """A piece of code of a page; ``place`` is the file that its first line names, if it names one."""

    language: str
    text: str
    place: str
    added: bool


def blocks_of(page: Path, section: str = "") -> list[Block]:
    """Return the pieces of code of a page, or of one of its sections, in order."""
    text = page.read_text()
    if section:
        (text,) = re.findall(rf"^(##+ {re.escape(section)}\n.*?)(?=^##+ |\Z)", text, re.DOTALL | re.MULTILINE)
    found = []
    for indentation, language, code in _FENCE.findall(text):
        plain = re.sub(rf"^{indentation}", "", code, flags=re.MULTILINE)
        named = _PLACE.match(plain)
        found.append(Block(language, plain, named[1] if named else "", bool(named and named[2])))
    return found


class Newcomer:
    """Works in ``folder``. ``site`` and ``realtime`` are the ports of the two servers; ``environ`` is the shell's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = free_port()
        self.realtime = free_port()
        self.shown = ""
        """Output of the commands."""
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        clean = clean_environment()
        path = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
        self.environ = {**clean, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    @property
    def url(self) -> str:
        """The address of the site."""
        return f"http://127.0.0.1:{self.site}"

    def follow(self, *blocks: Block) -> None:
        """Write the files and run the commands of these pieces of a page, in order."""
        for block in blocks:
            if block.language == "sh":
                for command in block.text.replace("\\\n", " ").splitlines():
                    self.type(command)
            elif block.place:
                self.write(block)

    def write(self, block: Block) -> None:
        """Write the file of a piece, or add to the file where the page says so."""
        file = self.folder / block.place
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text() if block.added else ""
        file.write_text(before + block.text)

    def type(self, command: str) -> None:
        """Run a command, or start a server and wait until it answers."""
        command = command.partition(" #")[0].strip()
        if not command or _INSTALLS.match(command):
            return
        if _REALTIME.match(command):
            self._start(command, f"http://127.0.0.1:{self.realtime}/up")
        elif command in _SITES:
            self._start(_SITES[command].format(port=self.site), self.url)
        elif command in _STARTED:
            self._start(command, "")
        elif command.startswith(_SUPERUSER):
            self.environ["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
            self._run(f"{command} --email someone@example.com --noinput")
        else:
            self._run(command)
            if command == "soundpost init":
                self._choose_port()

    def app(self) -> dict[str, Any]:
        """Return the first app in ``soundpost.toml``."""
        app: dict[str, Any] = tomllib.loads((self.folder / "soundpost.toml").read_text())["apps"][0]
        return app

    def backend(self) -> Pusher:
        """Return a client of the HTTP API, with the credentials in ``soundpost.toml``."""
        app = self.app()
        return Pusher(
            app["id"], app["key"], app["secret"], host="127.0.0.1", port=self.realtime, ssl=False, timeout=TIMEOUT
        )

    def tell(self, *events: dict[str, Any]) -> None:
        """Send events to the webhook endpoint of the site, as the server does."""
        body = json.dumps(
            {"time_ms": time.time_ns() // 1_000_000, "events": [{**each, "id": uuid.uuid4().hex} for each in events]}
        ).encode()
        app = self.app()
        headers = webhook_headers(app["key"], app["secret"], body, "0", {})
        answer = httpx.post(f"{self.url}/broadcasting/webhooks", content=body, headers=headers, timeout=TIMEOUT)
        assert answer.status_code == 200, answer.text

    def wait_for_subscribers(self, channel: str, number: int) -> None:
        """Wait until a channel has so many subscribers."""

        def subscribed() -> bool:
            info = self.backend().channel_info(channel, ["subscription_count"])
            return int(info.get("subscription_count", 0)) == number

        until(subscribed, f"{channel} has {number} subscribers")

    def lines(self, *arguments: str) -> Iterator[str]:
        """Start a program that runs until the end, and return the lines that it prints."""
        process = subprocess.Popen(
            arguments, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        self._processes.append((" ".join(arguments), process))
        assert process.stdout is not None
        return (line.decode().rstrip() for line in process.stdout)

    def end(self) -> None:
        """End all servers."""
        while self._processes:
            end(self._processes.pop()[1])

    def end_realtime(self) -> str:
        """End the realtime server alone; return the command that started it."""
        (found,) = [each for each in self._processes if _REALTIME.match(each[0])]
        end(found[1])
        self._processes.remove(found)
        return found[0]

    def _run(self, command: str) -> None:
        arguments = shlex.split(command)
        if arguments[0] == "npx":
            self._link_packages()
            arguments[:2] = ["node", str(PACKAGES / arguments[1] / "bin" / f"{arguments[1]}.js")]
        done = subprocess.run(
            arguments,
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIME,
            check=False,
        )
        self.shown += done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def _start(self, command: str, url: str) -> None:
        arguments = shlex.split(command)
        if arguments[0] == "npx":
            arguments[:2] = ["node", str(PACKAGES / arguments[1] / "bin" / f"{arguments[1]}.js")]
        log = self.folder / f"{len(self._processes)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                arguments, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        self._processes.append((command, process))

        def answers() -> bool:
            assert process.poll() is None, f"{command}: {log.read_text()}"
            try:
                return not url or httpx.get(url, timeout=TIMEOUT).status_code > 0
            except httpx.HTTPError:
                return False

        until(answers, lambda: f"{command}: {log.read_text()}", _TIME)

    def _choose_port(self) -> None:
        """Let the server of ``soundpost.toml`` listen on a port that is free in the tests."""
        file = self.folder / "soundpost.toml"
        text, count = re.subn(r"^(?:# *)?port = 8080$", f"port = {self.realtime}", file.read_text(), flags=re.MULTILINE)
        assert count == 1, text
        file.write_text(text)

    def _link_packages(self) -> None:
        link = self.folder / "node_modules"
        if not link.exists():
            link.symlink_to(PACKAGES)


@contextmanager
def newcomer(folder: Path) -> Iterator[Newcomer]:
    """Let a newcomer work in an empty folder; all servers have ended afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    person = Newcomer(folder)
    try:
        yield person
    finally:
        person.end()
