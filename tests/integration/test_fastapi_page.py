"""The page docs/fastapi.md: each application serves, and the statements about channels hold."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from sqlalchemy import create_engine, text

from soundpost.core.app_settings import WebhookSettings
from soundpost.wire.signatures import channel_text, sign
from support.harness import DEFAULT_APP, RawSocket, running_server, until
from support.raw_socket import TIMEOUT
from support.uvicorn_process import running_uvicorn

PAGE: Final = (Path(__file__).parents[2] / "docs/fastapi.md").read_text()
FILES: Final = dict(re.findall(r"```(?:python|html)\n(?:# |<!-- )([\w.]+)(?: -->)?\n(.*?)```", PAGE, re.DOTALL))
APP: Final = DEFAULT_APP
ENVIRON: Final = {
    "SOUNDPOST_APP_ID": APP.id,
    "SOUNDPOST_APP_KEY": APP.key,
    "SOUNDPOST_APP_SECRET": APP.secret,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all files of the page, in which applications run."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def allow(url: str, client: RawSocket, channel: str, **request: Any) -> dict[str, str]:
    """Return the application's response to a page that wants to subscribe."""
    form = {"socket_id": client.socket_id, "channel_name": channel}
    answer = httpx.post(f"{url}/broadcasting/auth", data=form, **request, timeout=TIMEOUT)
    answer.raise_for_status()
    found: dict[str, str] = answer.json()
    return found


def subscribe(client: RawSocket, channel: str, auth: dict[str, str]) -> None:
    client.send_event("pusher:subscribe", {"channel": channel, **auth})
    assert client.read_event()["event"] == "pusher_internal:subscription_succeeded"


@pytest.mark.parametrize("application", ["shop", "plain"])
def test_an_order_is_shipped(folder: Path, application: str) -> None:
    with running_server() as server, server.connect() as asking, server.connect() as other:
        environ = {**ENVIRON, "SOUNDPOST_PORT": str(server.port)}
        with running_uvicorn(f"{application}:app", environ) as site:
            for client in (asking, other):
                auth = allow(site.url, client, "private-orders.7", cookies={"user_id": "1"})
                subscribe(client, "private-orders.7", auth)
            headers = {"X-Socket-ID": asking.socket_id}
            assert httpx.post(f"{site.url}/orders/7/ship", headers=headers, timeout=TIMEOUT).is_success
            assert other.read_event()["event"] == "OrderShipped"
            assert not asking.has_input()
            with pytest.raises(httpx.HTTPStatusError, match="403"):
                allow(site.url, other, "private-orders.7", cookies={"user_id": "2"})
            assert "Traceback" not in site.log()


def test_a_like_reaches_the_handler(folder: Path) -> None:
    (folder / "watched.py").write_text(
        "from heard import app, likes\n\n\n@app.get('/likes')\ndef all_likes(): return likes\n"
    )
    with running_uvicorn("watched:app", ENVIRON) as site:
        endpoint = WebhookSettings(url=f"{site.url}/broadcasting/webhooks")
        app = msgspec.structs.replace(APP, webhooks=(endpoint,))
        with running_server(apps=[app]) as server, server.connect() as client:
            text = channel_text(client.socket_id, "private-posts.3")
            subscribe(client, "private-posts.3", {"auth": f"{APP.key}:{sign(APP.secret, text)}"})
            for data in ({"stars": "many"}, {"stars": 5}):
                client.send_event("client-like", data, channel="private-posts.3")
            until(lambda: httpx.get(f"{site.url}/likes", timeout=TIMEOUT).json() == [[3, 5, None]], "the like")


@pytest.mark.parametrize("application", ["orders", "orders_sync"])
def test_an_event_waits_for_the_commit(folder: Path, application: str) -> None:
    subprocess.run([sys.executable, "create_tables.py"], cwd=folder, check=True)
    engine = create_engine(f"sqlite:///{folder}/orders.db")
    with running_server() as server, server.connect() as asking, server.connect() as other:
        environ = {**ENVIRON, "SOUNDPOST_PORT": str(server.port)}
        with running_uvicorn(f"{application}:app", environ) as site:
            for client in (asking, other):
                auth = {
                    "auth": f"{APP.key}:{sign(APP.secret, channel_text(client.socket_id, 'private-orders.7', None))}"
                }
                subscribe(client, "private-orders.7", auth)
            headers = {"X-Socket-ID": asking.socket_id}
            url = f"{site.url}/orders/7/ship"
            assert httpx.post(url, params={"carrier": "unknown"}, headers=headers, timeout=TIMEOUT).status_code == 400
            assert httpx.post(url, params={"carrier": "DHL"}, headers=headers, timeout=TIMEOUT).is_success
            assert other.read_event() == {
                "event": "OrderShipped",
                "data": '{"order_id":7,"carrier":"DHL"}',
                "channel": "private-orders.7",
            }
            assert not asking.has_input()
    with engine.connect() as connection:
        assert connection.execute(text("select status from orders")).scalar() == "shipped"


def test_channel_routes(folder: Path) -> None:
    ann, bob = ({"Authorization": f"Bearer {name}"} for name in ("ann", "bob"))
    with running_server() as server, running_uvicorn("team:app", ENVIRON) as site, server.connect() as client:

        def member(channel: str, headers: dict[str, str]) -> Any:
            return json.loads(allow(site.url, client, channel, headers=headers)["channel_data"])

        subscribe(client, "private-teams.3.plans", allow(site.url, client, "private-teams.3.plans", headers=ann))
        assert member("presence-teams.3", bob) == {"user_id": "bob", "user_info": {"name": "Bob"}}
        assert member("presence-lobby", bob)["user_info"] == {"name": "Bob"}
        assert member("presence-lobby", {})["user_id"] == f"guest-{client.socket_id}"
        denied = [("private-teams.3.plans", bob), ("private-teams.4.plans", ann), ("presence-teams.3", {})]
        for channel, headers in denied:
            with pytest.raises(httpx.HTTPStatusError, match="403"):
                allow(site.url, client, channel, headers=headers)
        answer = httpx.post(
            f"{site.url}/broadcasting/user-auth", data={"socket_id": client.socket_id}, headers=ann, timeout=TIMEOUT
        )
        assert json.loads(answer.json()["user_data"]) == {"id": "ann", "user_info": {"name": "Ann"}}


def test_embedded_mode(folder: Path) -> None:
    with running_uvicorn("live:app") as site:
        options = httpx.get(f"{site.url}/broadcasting/config", timeout=TIMEOUT).json()
        assert (options["wsHost"], options["wsPort"], options["key"]) == ("127.0.0.1", site.port, "live-key")
        with RawSocket.open(site.port, "live-key") as client:
            client.subscribe("news")
            httpx.post(f"{site.url}/say/hello", timeout=TIMEOUT).raise_for_status()
            assert client.read_event() == {"event": "Said", "data": '{"text":"hello"}', "channel": "news"}
