"""Background delivery under web servers: all that requests have broadcast is sent when a server or a worker ends."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest

from support.background_programs import environment, listening, names_of, started
from support.harness import RunningServer, until
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

WSGI: Final = "support.background_web:wsgi"
ASGI: Final = "support.background_web:asgi"
UVICORN_WORKER: Final = ("-k", "uvicorn_worker.UvicornWorker")
SERVERS: Final = {
    "Gunicorn": ("gunicorn", "-b", "127.0.0.1:{port}", WSGI),
    "Gunicorn, threads": ("gunicorn", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "4", WSGI),
    "Gunicorn, preload": ("gunicorn", "-b", "127.0.0.1:{port}", "--preload", "-w", "2", WSGI),
    "Gunicorn, a worker for each request": ("gunicorn", "-b", "127.0.0.1:{port}", "--max-requests", "1", WSGI),
    "Gunicorn, UvicornWorker": ("gunicorn", "-b", "127.0.0.1:{port}", *UVICORN_WORKER, ASGI),
    "Gunicorn, UvicornWorker, preload": ("gunicorn", "-b", "127.0.0.1:{port}", "--preload", *UVICORN_WORKER, ASGI),
    "uWSGI": ("pyuwsgi", "--master"),
    "uWSGI, no master": ("pyuwsgi",),
    "uWSGI, threads": ("pyuwsgi", "--master", "--enable-threads", "--threads", "2"),
    "uWSGI, lazy": ("pyuwsgi", "--master", "--lazy-apps", "--enable-threads"),
    "uWSGI, a worker for each request": ("pyuwsgi", "--master", "--max-requests", "1"),
    "uvicorn": ("uvicorn", "--port", "{port}", ASGI),
    "uvicorn, workers": ("uvicorn", "--port", "{port}", "--workers", "2", ASGI),
    "Hypercorn": ("hypercorn", "-b", "127.0.0.1:{port}", ASGI),
    "Hypercorn, workers": ("hypercorn", "-b", "127.0.0.1:{port}", "-w", "2", ASGI),
    "Granian": ("granian", "--port", "{port}", "--interface", "asgi", ASGI),
    "Granian, WSGI": ("granian", "--port", "{port}", "--interface", "wsgi", WSGI),
    "Flask's own": ("flask", "--app", "support.background_flask", "run", "--port", "{port}"),
}


def command(server: Any, port: int) -> list[str]:
    """Its command line; that of uWSGI is not a module that could be run."""
    name, *options = (part.format(port=port) for part in server)
    if name != "pyuwsgi":
        return ["-m", name, *options]
    here = ["--http-socket", f"127.0.0.1:{port}", "--module", WSGI, "--die-on-term"]
    return ["-c", f"import sys, pyuwsgi; sys.argv = ['uwsgi'] + {[*here, *options]!r}; pyuwsgi.run()"]


@pytest.mark.parametrize("web_server", SERVERS.values(), ids=SERVERS.keys())
def test_all_is_sent_when_the_server_ends(server: RunningServer, tmp_path: Path, web_server: Any) -> None:
    port = free_port()
    requests = ("first", "second", "forked" if WSGI in str(command(web_server, port)) else "third")
    environ = environment(server.port)
    with listening(server) as heard, started(tmp_path, *command(web_server, port), environ=environ) as process:

        def answered(who: str) -> bool:
            try:
                with urlopen(f"http://127.0.0.1:{port}/{who}", timeout=TIMEOUT) as answer:
                    return bool(answer.status == 200)
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                return False

        for who in requests:
            until(lambda who=who: answered(who), lambda: (tmp_path / "log").read_text(), 2 * TIMEOUT)  # type: ignore[misc]
        process.send_signal(signal.SIGTERM)
        process.wait(2 * TIMEOUT)
        log = (tmp_path / "log").read_text()
        assert sorted(heard()) == sorted(name for who in requests for name in names_of(who)), log
        assert "not sent" not in log
