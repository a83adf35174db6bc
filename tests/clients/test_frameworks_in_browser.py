"""One page with unmodified laravel-echo, the same for Django, FastAPI and Flask: presence, private channels, the sender
left out, a denied channel."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.browser import Browser
from support.harness import RunningServer, until
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

APPLICATIONS = Path(__file__).parent / "same_page"


@contextmanager
def running_application(name: str, server: RunningServer) -> Iterator[str]:
    app = server.app()
    port = free_port()
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("SOUNDPOST_", "REVERB_"))},
        "SOUNDPOST_APP_ID": app.id,
        "SOUNDPOST_APP_KEY": app.key,
        "SOUNDPOST_APP_SECRET": app.secret,
        "SOUNDPOST_PORT": str(server.port),
        "PORT": str(port),
        "PYTHONPATH": os.pathsep.join([str(APPLICATIONS.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    with tempfile.NamedTemporaryFile(prefix="soundpost-test-", suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, APPLICATIONS / f"{name}_app.py"], env=environ, stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{port}"

        def is_up() -> bool:
            assert process.poll() is None, Path(log.name).read_text()
            try:
                return httpx.get(url, timeout=TIMEOUT).status_code == 200
            except httpx.HTTPError:
                return False

        try:
            until(is_up, lambda: Path(log.name).read_text())
            yield url
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.parametrize("framework", ["django", "fastapi", "flask"])
def test_the_same_page_works_with_every_framework(framework: str, server: RunningServer, browser: Browser) -> None:
    browser.reset()
    with running_application(framework, server) as url:
        ann, bob = browser.open(f"{url}/login/ann", "ann"), browser.open(f"{url}/login/bob", "bob")
        for page in (ann, bob):
            page.shows("#status", "connected")
            page.shows("title", "subscribed")
            page.shows("#people", "ann bob")
            page.shows("#heard li", "rooms.2: 403")

        ann.fill("#text", "hello")
        ann.click("#say")

        bob.count("#heard li", 3)  # by both ways of naming an event
        assert sorted(bob.texts("#heard li")) == ["again: hello", "ann: hello", "rooms.2: 403"]
        bob.fill("#text", "hi")
        bob.click("#say")
        ann.count("#heard li", 3)
        assert sorted(ann.texts("#heard li")) == ["again: hi", "bob: hi", "rooms.2: 403"]  # her own did not come back
        bob.close()
        ann.shows("#people", "ann")
        assert [each for each in browser.complaints() if "403" not in each] == []
        browser.reset()
