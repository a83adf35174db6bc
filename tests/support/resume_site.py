"""A site whose pages show the numbers 1, 2, 3 …: those up to now come with the page, the next ones by events."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from flask import Flask, Response, render_template, request, send_from_directory
from werkzeug.serving import make_server

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.authorization import ChannelRoutes
from soundpost.broadcasting.settings import settings_from
from soundpost.flask import Soundpost
from support.harness import DEFAULT_APP
from support.publishers import MASTER_KEY

_CLIENTS: Final = Path(__file__).parents[1] / "clients"
_PAGES: Final = _CLIENTS / "resume_page"
ALL: Final = ("news", "private-orders", "presence-room", "private-encrypted-diary")


class NumbersSite:
    """Pages at ``url``, whose server is at ``public_port`` for them, perhaps behind a relay."""

    def __init__(self, port: int, public_port: int, built: Path) -> None:
        self.url = ""
        self.last = 0
        """The last number that there is: the state of the site."""
        self.late = 0
        """How many numbers are published after a page was rendered, and before the browser has it."""
        self.pages: list[int] = []
        """By page that was rendered: the last number in it."""
        self._built = built
        self._lock = threading.Lock()
        self._broadcaster = Broadcaster(
            settings_from(
                {
                    "app_id": DEFAULT_APP.id,
                    "key": DEFAULT_APP.key,
                    "secret": DEFAULT_APP.secret,
                    "port": port,
                    "encryption_master_key": MASTER_KEY,
                    "public_url": f"http://127.0.0.1:{public_port}",
                }
            )
        )
        self.wsgi = self._application()

    def more(self, count: int = 1) -> int:
        """Publish so many numbers on all channels; give the last one."""
        with self._lock:
            for _ in range(count):
                self.last += 1
                for channel in ALL:
                    self._broadcaster.publish(channel, "told", {"n": self.last})
            return self.last

    @contextmanager
    def stream(self, seconds_between: float = 0.002) -> Iterator[None]:
        """Publish one number after the other, until the block ends."""
        over = threading.Event()

        def publish() -> None:
            while not over.wait(seconds_between):
                self.more()

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _application(self) -> Flask:
        app = Flask("numbers", template_folder=str(_PAGES))
        app.secret_key = "numbers"
        sp = Soundpost(app, broadcaster=self._broadcaster, channels=ChannelRoutes())
        sp.user_loader(lambda: SimpleNamespace(id="ann"))
        sp.channels.add("private", "orders", lambda user: True)
        sp.channels.add("private", "diary", lambda user: True)
        sp.channels.add("presence", "room", lambda user: {"name": "Ann"})

        @app.get("/page/<template>/<name>")
        def page(template: str, name: str) -> str:
            channels = request.args.get("channels", "news").split(",")
            positions = self._broadcaster.positions(channels)  # before the data is read
            rendered = self.last
            encrypted = any("encrypted" in channel for channel in channels)
            html = render_template(
                f"{template}.html",
                name=name,
                channels=channels,
                positions=positions,
                rendered=rendered,
                encrypted=encrypted,
            )
            self.pages.append(rendered)
            self.more(self.late)
            return html

        @app.get("/<file>.js")
        def script(file: str) -> Response:
            return send_from_directory(_PAGES, f"{file}.js")

        @app.get("/packages/<path:file>")
        def package(file: str) -> Response:
            return send_from_directory(_CLIENTS / "node_modules", file)

        @app.get("/built/<path:file>")
        def built(file: str) -> Response:
            return send_from_directory(self._built, file)

        return app


def build_pages(folder: Path) -> None:
    """Build the pages with React and Vue into a folder."""
    arguments = ["node", str(_CLIENTS / "node" / "build_pages.mjs"), json.dumps({"folder": str(folder)})]
    built = subprocess.run(arguments, cwd=_CLIENTS, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr


@contextmanager
def running_numbers_site(port: int, public_port: int, built: Path) -> Iterator[NumbersSite]:
    """Serve the pages on a free loopback port. ``port`` is the realtime server's, ``public_port`` that for pages."""
    site = NumbersSite(port, public_port, built)
    server = make_server("127.0.0.1", 0, site.wsgi, threaded=True)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
