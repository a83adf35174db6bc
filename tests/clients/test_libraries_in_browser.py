"""Pages without a bundler, in a real browser: the libraries of the package, and what a page says that lacks one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from flask import Flask, render_template_string
from werkzeug.serving import make_server

from soundpost.broadcasting import Broadcaster
from soundpost.broadcasting.settings import settings_from
from soundpost.flask import Soundpost
from support.browser import Browser
from support.harness import DEFAULT_APP, RunningServer
from support.scripted_server import running_scripted_server

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


SUBSCRIBING: Final = """
<link rel="icon" href="data:,">
{{ soundpost(libraries=True, positions={"news": "g7Qx.7"}) }}
<script>Soundpost.connect(%s).channel('news');</script>
"""


@contextmanager
def running_site(port: int, *, key: str = "", **pages: str) -> Iterator[str]:
    """Serve the pages above, and ``pages`` by their names."""
    app = Flask("page")
    known = DEFAULT_APP
    settings = {"app_id": known.id, "key": key or known.key, "secret": known.secret, "port": port}
    Soundpost(app, broadcaster=Broadcaster(settings_from(settings)))

    @app.get("/<tags>")
    def page(tags: str) -> str:
        return render_template_string(pages[tags] if tags in pages else PAGE.format(tags=TAGS[tags]))

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
    with running_site(server.port) as url:
        browser.open(f"{url}/{tags}").shows("#state", shown)
        assert browser.complaints() == []
        browser.reset()


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ("", ',"resume":"g7Qx.7"'),
        ("{ resume: false }", ""),
        ("{ resume: { rewind: { news: 5 } } }", ',"resume":"g7Qx.7"'),
        ("{ resume: { positions: { news: 'g7Qx.9' } } }", ',"resume":"g7Qx.9"'),
    ],
)
def test_connect_resumes_unless_it_is_told_not_to(browser: Browser, options: str, more: str) -> None:
    browser.reset()
    with running_scripted_server() as server, running_site(server.port, page=SUBSCRIBING % options) as url:
        browser.open(f"{url}/page")
        subscribe = f'{{"event":"pusher:subscribe","data":{{"auth":"","channel":"news"{more}}}}}'
        assert server.accept().received() == subscribe
        assert browser.complaints() == []
        browser.reset()


def test_a_page_that_is_put_into_another_begins_at_its_own_positions(browser: Browser) -> None:
    browser.reset()
    page = """
        <link rel="icon" href="data:,">
        {{ soundpost(libraries=True, positions={"news": "g7Qx.7"}) }}
        <script>Soundpost.connect().channel('news');</script>
        {{ soundpost(positions={"news": "g7Qx.8", "other": "g7Qx.3"}) }}
        <script>Soundpost.connect().channel('other');</script>
    """
    with running_scripted_server() as server, running_site(server.port, page=page) as url:
        browser.open(f"{url}/page")
        connection = server.accept()
        for channel, position in (("news", "g7Qx.8"), ("other", "g7Qx.3")):
            data = f'{{"auth":"","channel":"{channel}","resume":"{position}"}}'
            assert connection.received() == f'{{"event":"pusher:subscribe","data":{data}}}'
        browser.reset()


def test_connect_names_the_module_that_options_are_for(server: RunningServer, browser: Browser) -> None:
    browser.reset()
    page = """
        <p id="state"></p>{{ soundpost() }}
        <script src="/broadcasting/pusher.min.js"></script><script src="/broadcasting/echo.iife.js"></script>
        <script>
            const show = (text) => { document.getElementById('state').textContent = text; };
            try { Soundpost.connect({ resume: { persist: true } }); } catch (error) { show(error.message); }
            Soundpost.connect().connector.onConnectionChange((state) => { document.title = state; });
        </script>
    """
    with running_site(server.port, page=page) as url:
        opened = browser.open(f"{url}/page")
        opened.shows(
            "#state",
            'soundpost-resume is not loaded: add a script tag with src="…/soundpost-resume.min.js" before the script '
            "that calls Soundpost.connect(), or let the tag that prints the options print this too: libraries=True",
        )
        opened.shows("title", "connected")  # without the module a page connects as before
        browser.reset()


def test_a_page_that_the_server_does_not_take_says_why(server: RunningServer, browser: Browser) -> None:
    browser.reset()
    with running_site(server.port, key="another-key") as url:
        page = browser.open(f"{url}/all")
        page.shows("#state", "disconnected")
        assert browser.complaints() == [
            f"Soundpost: the server at 127.0.0.1:{server.port} does not take this page, which does not try again. "
            "4001: Application does not exist: no app has the key 'another-key'. Is the page's key that of another "
            "server or folder? It comes from the application's settings. Call 'soundpost doctor' in the application's "
            "folder."
        ]
        browser.reset()


def test_a_page_that_the_server_sends_away_says_so_once(server: RunningServer, browser: Browser) -> None:
    browser.reset()
    with running_site(server.port) as url:
        page = browser.open(f"{url}/all")
        page.shows("#state", "connected")
        page.evaluate("Echo.connector.pusher.send_event('pusher:signin', {auth: 'wrong', user_data: '{\"id\":\"1\"}'})")
        page.shows("#state", "disconnected")
        (complaint,) = browser.complaints()
        assert "does not try again. 4009: " in complaint
        assert "another server or folder" not in complaint
        browser.reset()
