"""Pages in Chromium that resume from the positions that they were rendered from, and note what they are given.

A page keeps its notes in ``sessionStorage``, which a reload leaves alone: nothing is noted late.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qs

import msgspec

import soundpost
from soundpost.wire.signatures import channel_text, sign
from support.browser import Browser, Page
from support.node_process import NodeError
from support.raw_socket import DEFAULT_APP
from support.resumption.lines import wait_for_none
from support.resumption.stories import Entry, Story, Told, behind, written

_MODULES: Final = Path(__file__).parents[2] / "clients" / "node_modules"
PUSHER_JS: Final = _MODULES / "pusher-js" / "dist" / "web" / "pusher.min.js"
MODULE: Final = Path(soundpost.__file__).parent / "broadcasting/browser/static/vendor/soundpost-resume.min.js"
PAGE: Final = """\
<!doctype html><title>events</title>
<script src="/pusher.js"></script><script src="/resume.js"></script>
<script>
const { key, port, channels, positions, clock } = OPTIONS;
const kept = JSON.parse(sessionStorage.getItem('notes') || '{"stories": {}, "pages": []}');
const now = () => Date.now() / 1000 - clock;
function note(channel, kind, ...more) {
  (kept.stories[channel] ||= []).push([kind, now(), ...more]);
  sessionStorage.setItem('notes', JSON.stringify(kept));
}
const isReloaded = kept.pages.length > 0;
kept.pages.push([]);
const pusher = new Pusher(key, {
  wsHost: location.hostname, wsPort: port, forceTLS: false, cluster: '', disableStats: true,
  enabledTransports: ['ws'], channelAuthorization: { endpoint: '/auth' },
});
pusher.connection.bind('connected', () => kept.pages.at(-1).push(pusher.connection.socket_id));
const at = (channel) => resumption.positions()[channel] ?? null;
const resumption = Soundpost.resume(pusher, {
  positions,
  onResumed: (channel, count) => note(channel, 'resumed', at(channel), count),
  onGap: (channel, reason) => note(channel, 'gap', at(channel), reason),
});
// Note the position of each message, which the handlers are not given. The module has tapped the transport by then.
let current = null;
const send = pusher.send_event;
pusher.send_event = (...event) => {
  const sent = send.apply(pusher, event);
  const { transport } = pusher.connection.connection ?? {};
  if (transport && !transport.isWatched) {
    transport.isWatched = true;
    const { emit } = transport;
    transport.emit = (name, ...more) => {
      if (name === 'message') current = JSON.parse(more[0].data).position ?? null;
      return emit.call(transport, name, ...more);
    };
  }
  return sent;
};
for (const name of channels) {
  // The first page, too, has what it was rendered from.
  note(name, 'rendered', positions[name]);
  pusher.subscribe(name).bind('tick', (data) => note(name, 'event', data.split(' ', 1)[0], current));
}
</script>
"""


class ChromiumPages:
    """Tabs with such a page. ``positions`` tells the newest position of each channel. To be used as a crowd."""

    def __init__(self, channels: Sequence[list[str]], port: int, positions: Callable[[], dict[str, str]]) -> None:
        self._channels = channels
        self._port = port
        self._positions = positions
        self._stack = ExitStack()
        self._tabs: list[Page] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            site = stack.enter_context(_site(self._page))
            browser = stack.enter_context(Browser())
            self._tabs = [
                browser.open(f"http://127.0.0.1:{site}/?{number}", f"tab {number}")
                for number in range(len(self._channels))
            ]
            self.do("settle", 30)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *reason: Any) -> None:
        self._stack.__exit__(*reason)

    def do(self, command: str, *arguments: Any) -> Any:
        """The answer to a command of a crowd."""
        if command == "reload":
            for tab in self._tabs:
                tab.evaluate("location.reload()")
            return self.do("settle", 30)
        if command == "settle":
            return wait_for_none(lambda: sum(_unsubscribed(tab) for tab in self._tabs), arguments[0])
        if command == "reach":
            return wait_for_none(lambda: behind(self._told().stories, arguments[0]), arguments[1])
        if command == "sockets":
            return [tab.evaluate("pusher.connection.socket_id") for tab in self._tabs]
        assert command == "tell", command
        return written(self._told())

    def _told(self) -> Told:
        notes = [tab.evaluate("kept") for tab in self._tabs]
        names = [f"chromium-{number}" for number in range(len(notes))]
        stories = [
            Story(name, channel, "resuming", msgspec.convert(entries, list[Entry]))
            for name, note in zip(names, notes, strict=True)
            for channel, entries in note["stories"].items()
        ]
        # What is rendered first begins the first page.
        return Told(stories, {name: [[], *note["pages"]] for name, note in zip(names, notes, strict=True)})

    def freeze(self) -> None:
        """Do nothing: Chromium has many processes."""

    def thaw(self) -> None:
        """Do nothing."""

    def _page(self, number: int) -> str:
        known = self._positions()
        channels = self._channels[number]
        options = {
            "key": DEFAULT_APP.key,
            "port": self._port,
            "channels": channels,
            "positions": {channel: known[channel] for channel in channels},
            "clock": time.time() - time.monotonic(),
        }
        return PAGE.replace("OPTIONS", json.dumps(options))


def _unsubscribed(tab: Page) -> int:
    """How many channels of a page are not subscribed to; 1 for a page that is not there yet."""
    try:
        return int(tab.evaluate("pusher.allChannels().filter((channel) => !channel.subscribed).length"))
    except NodeError:
        return 1


@contextmanager
def _site(page: Callable[[int], str]) -> Iterator[int]:
    """A site with the page, what it loads, and an endpoint that lets everybody in; its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, number = self.path.partition("?")
            files = {"/pusher.js": PUSHER_JS, "/resume.js": MODULE}
            if path == "/":
                self._answer(page(int(number)).encode(), "text/html; charset=utf-8")
            elif path in files:
                self._answer(files[path].read_bytes(), "text/javascript; charset=utf-8")
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            text = channel_text(form["socket_id"][0], form["channel_name"][0], None)
            auth = f"{DEFAULT_APP.key}:{sign(DEFAULT_APP.secret, text)}"
            self._answer(json.dumps({"auth": auth}).encode(), "application/json")

        def _answer(self, body: bytes, content_type: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
