"""Clients that do not know of resumption are given its fields, and hand on what they hand on without them."""

from __future__ import annotations

import json
import threading
from typing import Any, Final

import msgspec
import pysher
import pytest

from soundpost.core.app_settings import HistorySettings
from support.browser import Browser
from support.clients_js import PusherJs, pusher_options
from support.harness import DEFAULT_APP, running_server, until
from support.node_process import SCRIPTS, NodeProcess, Report
from support.publishers import PythonSdk
from support.raw_socket import TIMEOUT
from support.relay import running_relay
from support.scripted_session import SHARED_SECRET, ScriptedServer, scripted
from support.web_app import WebApp

CHANNELS: Final = ["news", "private-orders", "presence-room", "private-encrypted-diary"]
VERSIONS: Final = {"8.6": "pusher-js", "8.4": "pusher-js-8.4", "8.0": "pusher-js-8.0", "7.6": "pusher-js-7.6"}
PAGES: Final = ["web/pusher.min.js", "web/pusher-with-encryption.min.js"]
WORKERS: Final = ["worker/pusher.worker.min.js", "worker/pusher-with-encryption.worker.min.js"]
REACT_NATIVE: Final = "react-native/pusher.js"
BUILDS: Final = [
    *((version, build) for version in VERSIONS for build in PAGES),
    # Those of older versions ask for the window, which no worker has.
    *((version, build) for version in ("8.6", "8.4") for build in WORKERS),
    ("8.6", REACT_NATIVE),
]
# pusher-js asks a phone for the globals of a browser, and for one module: the state of the network.
AS_REACT_NATIVE: Final = (
    b"var Pusher = (() => { const module = { exports: {} }; let { exports } = module;"
    b"const require = () => ({ addEventListener() {}, fetch: async () => ({ isConnected: true }) });\n%s\n"
    b"return module.exports.Pusher ?? module.exports; })();"
)
WITHOUT_ENCRYPTION: Final = CHANNELS[:3]
ECHOS: Final = {"2": "laravel-echo", "1": "laravel-echo-1"}
PAGE: Final = """
<script src="/stock.js"></script>
<p id="state"></p>
<script>
    const over = (all) => {{ window.all = all; document.getElementById('state').textContent = 'over'; }};
    if ({worker}) {{
        const worker = new Worker('/worker.js');
        worker.onmessage = ({{ data }}) => over(data);
        worker.postMessage({options});
    }} else {{
        const script = document.createElement('script');
        script.src = '/pusher.js';
        script.onload = () => observe({options}, over);
        document.head.append(script);
    }}
</script>
"""
WORKER: Final = b"""
importScripts('/pusher.js', '/stock.js');
onmessage = ({ data }) => observe({ ...data, host: '127.0.0.1' }, postMessage);
"""


def numbers_expected(channel: str) -> list[int]:
    """Return the numbers of the events that a channel gets; the seventh is a client event."""
    return [1, 2, 3, 7, 4, 5] if channel.startswith("presence-") else [1, 2, 3, 4, 5]


def check_the_same(seen: list[Report], expected: list[Report], channels: list[str]) -> None:
    """Check that a client with the new fields reports what it reports without, and each event once."""
    for channel in channels:
        heard = [each["data"]["n"] for each in seen if each["report"] == "heard" and each["channel"] == channel]
        assert heard == numbers_expected(channel)
    assert seen == expected


def seen_in_node(server: ScriptedServer, **more: str) -> list[Report]:
    """Return all that a client in Node.js reports until the last event."""
    options = {"wsHost": "127.0.0.1", "wsPort": server.port, "forceTLS": False, "cluster": ""}
    given = {"pusher": options, "channels": CHANNELS, "sharedSecret": SHARED_SECRET, **more}
    with NodeProcess("stock.mjs", given) as client:
        client.expect("message", event="over")  # reported after all that handlers were given
        return client.reports()


@pytest.mark.parametrize("version", VERSIONS)
def test_pusher_js_hands_on_the_same(version: str) -> None:
    with scripted(CHANNELS, fields=False) as plain, scripted(CHANNELS, fields=True) as extended:
        expected, seen = (seen_in_node(server, module=VERSIONS[version]) for server in (plain, extended))
    check_the_same(seen, expected, CHANNELS)


@pytest.mark.parametrize("version", ECHOS)
def test_laravel_echo_hands_on_the_same(version: str) -> None:
    with scripted(CHANNELS, fields=False) as plain, scripted(CHANNELS, fields=True) as extended:
        expected, seen = (seen_in_node(server, module="pusher-js", echo=ECHOS[version]) for server in (plain, extended))
    check_the_same(seen, expected, CHANNELS)


def seen_in_browser(browser: Browser, version: str, build: str, channels: list[str], *, fields: bool) -> list[Report]:
    """Return all that a build for browsers hands on in a page, or in a worker, until the last event."""
    package = SCRIPTS.parent / "node_modules" / VERSIONS[version] / "dist" / build
    code = package.read_bytes()
    pages = {
        "/pusher.js": ("text/javascript", AS_REACT_NATIVE % code if build == REACT_NATIVE else code),
        "/stock.js": ("text/javascript", (SCRIPTS.parent / "page" / "stock.js").read_bytes()),
        "/worker.js": ("text/javascript", WORKER),
    }
    with scripted(channels, fields=fields, pages=pages) as server:
        options = {"host": "127.0.0.1", "port": server.port, "channels": channels, "sharedSecret": SHARED_SECRET}
        worker = json.dumps(build.startswith("worker/"))
        pages["/"] = ("text/html", PAGE.format(options=json.dumps(options), worker=worker).encode())
        page = browser.open(f"http://127.0.0.1:{server.port}/")
        page.shows("#state", "over")
        seen: list[Report] = page.evaluate("window.all")
        page.close()
        return seen


@pytest.mark.parametrize(("version", "build"), BUILDS)
def test_builds_for_browsers_hand_on_the_same(browser: Browser, version: str, build: str) -> None:
    channels = CHANNELS if "encryption" in build or build == REACT_NATIVE else WITHOUT_ENCRYPTION
    expected, seen = (seen_in_browser(browser, version, build, channels, fields=fields) for fields in (False, True))
    check_the_same(seen, expected, channels)


def seen_by_pysher(server: ScriptedServer) -> list[Any]:
    """Return what PyPI's Pysher hands on until the last event."""
    seen: list[Any] = []
    over = threading.Event()
    client = pysher.Pusher(
        "key",
        custom_host="127.0.0.1",
        port=server.port,
        secure=False,
        secret="secret",
        user_data={"user_id": "ann"},
        auto_sub=True,
        reconnect_interval=0.01,
    )

    def join(_: Any) -> None:
        if client.channels:
            return  # it subscribes again by itself
        for name in WITHOUT_ENCRYPTION:
            channel = client.subscribe(name)
            for event in ("pusher_internal:subscription_succeeded", "placed", "client-wave"):
                channel.bind(event, lambda data, name=name, event=event: seen.append((name, event, json.loads(data))))
            channel.bind("over", lambda data: over.set())

    client.connection.bind("pusher:connection_established", join)
    client.connect()
    try:
        assert over.wait(TIMEOUT)
    finally:
        client.disconnect(timeout=0.1)  # its thread reads for a long time yet: until the server ends the connection
    return seen


def test_pysher_hands_on_the_same() -> None:
    with scripted(WITHOUT_ENCRYPTION, fields=False) as plain, scripted(WITHOUT_ENCRYPTION, fields=True) as extended:
        expected, seen = seen_by_pysher(plain), seen_by_pysher(extended)
    for channel in WITHOUT_ENCRYPTION:
        numbers = [data["n"] for name, _, data in seen if name == channel and "n" in data]
        assert numbers == numbers_expected(channel)
    assert seen == expected


def seen_of_a_server(history: tuple[HistorySettings, ...], web_app: WebApp) -> list[Report]:
    """Return all that pusher-js hands on over a cut, and after its histories were deleted."""
    channels = [*CHANNELS, "cache-news"]
    with (
        running_server(apps=[msgspec.structs.replace(DEFAULT_APP, history=history)]) as server,
        running_relay(server.port) as relay,
        PusherJs(DEFAULT_APP.key, pusher_options(relay.port, web_app.url, "ann")) as client,
    ):
        sdk = PythonSdk(server.port, DEFAULT_APP.id, DEFAULT_APP.key, DEFAULT_APP.secret)

        def tell(number: int) -> None:
            for channel in channels:
                sdk.trigger(channel, "placed", {"n": number})

        client.connected().subscribe(*channels)
        tell(1)
        until(lambda: all(client.has("event", channel=name, data={"n": 1}) for name in channels), "the first event")
        relay.cut()
        tell(2)
        relay.mend()
        again = "pusher:subscription_succeeded"
        until(lambda: all(client.has("event", channel=name, event=again) for name in channels), "subscribed again")
        if history:
            for channel in channels:
                assert server.request("DELETE", f"/channels/{channel}/history").status == 200
        tell(3)
        sdk.trigger("news", "over", {})
        client.expect("message", event="over")
        return client.reports()


def test_pusher_js_hears_the_same_of_a_server_with_history(web_app: WebApp) -> None:
    expected, seen = (seen_of_a_server(each, web_app) for each in ((), (HistorySettings(channels=("*",)),)))
    for channel in [*CHANNELS, "cache-news"]:
        handed_on = [
            [report for report in reports if report["report"] == "event" and report["channel"] == channel]
            for reports in (expected, seen)
        ]
        assert handed_on[0] == handed_on[1]
        missed = [2] if channel == "cache-news" else []  # as every subscriber of a cache channel gets it
        assert [report["data"]["n"] for report in handed_on[1] if report["event"] == "placed"] == [1, *missed, 3]
    assert [report for report in seen if report.get("event") == "soundpost:gap"] == []
