"""Several processes with an embedded server each are noticed, however they were started."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.request import urlopen

import msgspec
import pytest

from support.background_programs import environment, started
from support.harness import DEFAULT_APP, until
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

APP: Final = "support.embedded_app:app"
WARNING: Final = "have an embedded server each: an event reaches the clients of one process only"


class Start(NamedTuple):
    command: str
    environ: dict[str, str] = {}  # noqa: RUF012
    files: dict[str, str] = {}  # noqa: RUF012


GUNICORN: Final = "gunicorn -b 127.0.0.1:{port} -k uvicorn_worker.UvicornWorker"
SEVERAL: Final = {
    "gunicorn -w2": Start(f"{GUNICORN} -w2 {APP}"),
    "gunicorn --preload -w 2": Start(f"{GUNICORN} --preload -w 2 {APP}"),
    "gunicorn, GUNICORN_CMD_ARGS": Start(f"{GUNICORN} {APP}", {"GUNICORN_CMD_ARGS": "--workers=2"}),
    "gunicorn, WEB_CONCURRENCY": Start(f"{GUNICORN} {APP}", {"WEB_CONCURRENCY": "2"}),
    "gunicorn, a file": Start(f"{GUNICORN} {APP}", files={"gunicorn.conf.py": "workers = 2\n"}),
    "uvicorn --workers": Start(f"uvicorn --port {{port}} --workers 2 {APP}"),
    "uvicorn, WEB_CONCURRENCY": Start(f"uvicorn --port {{port}} {APP}", {"WEB_CONCURRENCY": "2"}),
    "hypercorn -w": Start(f"hypercorn -b 127.0.0.1:{{port}} -w 2 {APP}"),
    "hypercorn, a file": Start(f"hypercorn -b 127.0.0.1:{{port}} -c h.toml {APP}", files={"h.toml": "workers = 2\n"}),
    "granian --workers": Start(f"granian --port {{port}} --interface asgi --workers 2 {APP}"),
    "granian, GRANIAN_WORKERS": Start(f"granian --port {{port}} --interface asgi {APP}", {"GRANIAN_WORKERS": "2"}),
}
ONE: Final = {
    "gunicorn": Start(f"{GUNICORN} -w1 {APP}"),
    "uvicorn": Start(f"uvicorn --port {{port}} {APP}"),
    "uvicorn that does not heed it": Start(f"uvicorn --port {{port}} --workers 1 {APP}", {"WEB_CONCURRENCY": "2"}),
    "hypercorn": Start(f"hypercorn -b 127.0.0.1:{{port}} {APP}"),
    "granian": Start(f"granian --port {{port}} --interface asgi {APP}"),
}


class Running:
    """A started server; each has an app of its own, as the tests are the parent of those with one process."""

    def __init__(self, stack: ExitStack, folder: Path, number: int, start: Start) -> None:
        folder.mkdir()
        for name, text in start.files.items():
            (folder / name).write_text(text)
        app = msgspec.structs.replace(DEFAULT_APP, id=str(number))
        given = msgspec.json.encode({"apps": [app], "server": {}}).decode()
        self.port = free_port()
        environ = environment(1, EMBEDDED=given, **start.environ)
        command = start.command.format(port=self.port).split()
        self._folder = folder
        self.process: Any = stack.enter_context(started(folder, "-m", *command, environ=environ))

    def log(self) -> str:
        return (self._folder / "log").read_text()

    def serves(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/around", timeout=TIMEOUT) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX locks")
def test_several_processes_are_warned_of_and_one_is_not(tmp_path: Path) -> None:
    with ExitStack() as stack:
        starts = [*SEVERAL.items(), *ONE.items()]
        running = {
            name: Running(stack, tmp_path / str(number), number, start) for number, (name, start) in enumerate(starts)
        }
        for name, each in running.items():
            until(each.serves, lambda name=name, each=each: f"{name}: {each.log()}", 3 * TIMEOUT)  # type: ignore[misc]
        second = Running(stack, tmp_path / "second", len(SEVERAL) + 1, ONE["uvicorn"])  # of the app of ONE's uvicorn
        for name in SEVERAL:
            until(lambda name=name: WARNING in running[name].log(), lambda name=name: f"{name}: {running[name].log()}")  # type: ignore[misc]
        until(lambda: WARNING in second.log(), second.log)
        for name in ONE:
            assert WARNING not in running[name].log(), name
            assert "Traceback" not in running[name].log(), name
