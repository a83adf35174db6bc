"""Pages without a bundler, in a real browser: the libraries of the package, and what a page says that lacks one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, render_template_string
from werkzeug.serving import make_server

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.flask import Soundpost
from support.browser import Browser
from support.harness import RunningServer

PAGE = """
<title>page</title><p id="state"></p>
{tags}
<script>
    const show = (text) => {{ document.getElementById('state').textContent = text; }};
    try {{
        const echo = Soundpost.connect();
        echo.connector.onConnectionChange(show);
        if (Soundpost.connect() !== echo) show('another Echo');
    }} catch (error) {{
        show(error.message);
    }}
</script>
"""
TAGS = {
    "all": "{{ soundpost(libraries=True) }}",
    "no-echo": "{{ soundpost() }}<script src='/broadcasting/pusher.min.js'></script>",
    "neither": "{{ soundpost() }}",
    "no-pusher": "{{ soundpost() }}<script src='/broadcasting/echo.iife.js'></script>",
}


@contextmanager
def running_site(server: RunningServer) -> Iterator[str]:
    app = Flask("page")
    settings = {"app_id": server.app().id, "key": server.app().key, "secret": server.app().secret, "port": server.port}
    Soundpost(app, broadcaster=Broadcaster(settings_from(settings)))

    @app.get("/<tags>")
    def page(tags: str) -> str:
        return render_template_string(PAGE.format(tags=TAGS[tags]))

    site = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{site.server_port}"
    finally:
        site.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ("all", "connected"),
        (
            "no-echo",
            'laravel-echo is not loaded: add a script tag with src="…/echo.iife.js" before the script that calls '
            "Soundpost.connect(), or let the tag that prints the options print this too: libraries=True",
        ),
        (
            "no-pusher",
            'pusher-js is not loaded: add a script tag with src="…/pusher.min.js" before the script that calls '
            "Soundpost.connect(), or let the tag that prints the options print this too: libraries=True",
        ),
        (
            "neither",
            'pusher-js and laravel-echo are not loaded: add a script tag with src="…/pusher.min.js" and '
            'one with src="…/echo.iife.js" before the script that calls Soundpost.connect(), or let the tag '
            "that prints the options print this too: libraries=True",
        ),
    ],
)
def test_a_page_without_a_bundler(server: RunningServer, browser: Browser, tags: str, shown: str) -> None:
    browser.reset()
    with running_site(server) as url:
        browser.open(f"{url}/{tags}").shows("#state", shown)
        assert browser.complaints() == []
        browser.reset()
