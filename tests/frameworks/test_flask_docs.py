"""The examples of ``docs/flask.md``, ``docs/litestar.md``, ``docs/pusher-sdk.md`` and ``docs/typescript.md`` run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from support.harness import DEFAULT_APP, RunningServer, running_server

ROOT = Path(__file__).parents[2]
CREDENTIALS = {"SOUNDPOST_APP_ID": "1", "SOUNDPOST_APP_KEY": "app-key", "SOUNDPOST_APP_SECRET": "app-secret"}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the files of the page, by the names in their first lines."""
    for block in blocks("docs/flask.md", "python") + blocks("docs/flask.md", "html"):
        found = re.match(r"(?:# |<!-- )(\S+)", block)
        assert found is not None, block
        file = tmp_path / found[1]
        file.parent.mkdir(exist_ok=True)
        file.write_text(block)
    return tmp_path


def run(project: Path, *arguments: str, port: int = 8080) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOUNDPOST_", "REVERB_"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**kept, **CREDENTIALS, "SOUNDPOST_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_application_of_the_page_publishes_and_shows_where_to_connect(project: Path, server: RunningServer) -> None:
    script = (
        "from app import app, OrderShipped\n"
        "from soundpost import publish\n"
        "client = app.test_client()\n"
        "print(client.get('/orders/7').text)\n"
        "publish('orders', 'Shipped', {'order_id': 7})\n"
    )
    with server.connect() as listener:
        listener.subscribe("orders")
        done = run(project, "-c", script, port=server.port)
        assert done.returncode == 0, done.stderr
        assert json.loads(listener.read_event()["data"]) == {"order_id": 7}
    assert f'"wsPort": {server.port}' in done.stdout
    assert "echo.private('orders.7')" in done.stdout


def test_the_factory_and_the_quart_application_start(project: Path) -> None:
    script = "import factory, quart_app; print(factory.create_app(), quart_app.app)"
    done = run(project, "-c", script)
    assert done.returncode == 0, done.stderr


def test_the_page_has_every_command(project: Path) -> None:
    listed = re.findall(r"`flask soundpost (\w+)", (ROOT / "docs/flask.md").read_text())
    known = re.findall(r"^  (\w+) ", run(project, "-m", "flask", "soundpost", "--help").stdout, re.MULTILINE)
    assert set(known) == set(listed)


def test_the_sdk_s_examples_publish(tmp_path: Path) -> None:
    app = msgspec.structs.replace(DEFAULT_APP, id="your-app-id", key="your-app-key", secret="your-app-secret")
    with running_server(apps=[app]) as server, server.connect(app.id) as listener:
        listener.subscribe("orders")
        for number, code in enumerate(blocks("docs/pusher-sdk.md", "python"), 7):
            done = run(tmp_path, "-c", code.replace("8080", str(server.port)))
            assert done.returncode == 0, done.stderr
            assert json.loads(listener.read_event()["data"]) == {"id": number}


def test_the_types_are_those_of_the_page(tmp_path: Path) -> None:
    (code,) = blocks("docs/typescript.md", "python")
    expected = blocks("docs/typescript.md", "ts")[0]
    (tmp_path / "shop_events_of_the_page.py").write_text(code)
    done = run(tmp_path, "-m", "soundpost", "types", "shop_events_of_the_page")
    assert done.stdout.partition("\n\n")[2] == f"{expected}\nexport {{}};\n"


def test_the_litestar_example_starts(tmp_path: Path) -> None:
    code, handlers = blocks("docs/litestar.md", "python")
    (tmp_path / "app.py").write_text(code + handlers)
    script = (
        "from app import app\n"
        "from litestar.testing import TestClient\n"
        "from soundpost import broadcast\n"
        "from soundpost.testing import signed_webhook\n"
        "from soundpost.webhooks import MemberAdded\n"
        "body, signed = signed_webhook(MemberAdded(channel='presence-rooms.3', user_id='7'))\n"
        "form = {'socket_id': '1.2', 'channel_name': 'private-orders.7'}\n"
        "with TestClient(app) as client, broadcast.fake() as sent:\n"
        "    assert client.post('/orders/7/ship').text == 'shipped'\n"
        "    assert client.post('/broadcasting/auth', data=form, headers={'X-User': 'ann'}).status_code == 200\n"
        "    sent.assert_broadcast('OrderShipped', on='private-orders.7')\n"
        "    assert client.post('/broadcasting/webhooks', content=body, headers=signed).status_code == 200\n"
    )
    done = run(tmp_path, "-c", script)
    assert done.returncode == 0, done.stderr
