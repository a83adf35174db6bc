"""Applications on Windows: the library without anything that Windows lacks, and a server on another machine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

from support.harness import DEFAULT_APP, RunningServer

ROOT: Final = Path(__file__).parents[2]
LIBRARY: Final = (
    "soundpost",
    "soundpost.asgi",
    "soundpost.broadcasting",
    "soundpost.client",
    "soundpost.contrib.celery",
    "soundpost.contrib.rq",
    "soundpost.contrib.sqlalchemy",
    "soundpost.django",
    "soundpost.fastapi",
    "soundpost.flask",
    "soundpost.litestar",
    "soundpost.pusher",
    "soundpost.quart",
    "soundpost.starlette",
    "soundpost.testing",
    "soundpost.tools.cli.app",
    "soundpost.tools.doctor",
    "soundpost.tools.typescript",
)
IMITATE: Final = "import sys; from support.windows import imitate_windows; imitate_windows()\n"
REFUSAL: Final = "need Linux or macOS, and this is Windows. Start the server in WSL or in Docker: https://"


def on_windows(code: str, folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an empty folder, in a Python like that of Windows."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SOUNDPOST_")}
    return subprocess.run(
        [sys.executable, "-c", IMITATE + textwrap.dedent(code), *arguments],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT / "tests"), "HOME": str(folder), "NO_COLOR": "1", **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def output_of(code: str, folder: Path, **variables: str) -> str:
    done = on_windows(code, folder, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``soundpost ARGUMENTS``."""
    return on_windows("from soundpost.tools.cli.app import main; main()", folder, *arguments, **variables)


def credentials(server: RunningServer) -> dict[str, str]:
    url = f"http://{DEFAULT_APP.key}:{DEFAULT_APP.secret}@127.0.0.1:{server.port}/apps/{DEFAULT_APP.id}"
    return {"SOUNDPOST_URL": url}


def test_the_library_is_imported_without_what_windows_lacks(tmp_path: Path) -> None:
    code = f"import {', '.join(LIBRARY)}; print('soundpost.server.server' in sys.modules)"
    assert output_of(code, tmp_path) == "False\n"


def test_the_library_passes_its_unit_tests_on_windows() -> None:
    command = [str(ROOT / "scripts" / "test-library"), "-p", "support.windows", "-p", "no:cacheprovider"]
    done = subprocess.run(command, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("deliver", ["now", "background"])
def test_threads_broadcast(server: RunningServer, tmp_path: Path, deliver: str) -> None:
    with server.connect() as client:
        client.subscribe("orders")
        code = """
            from soundpost import Channel, Event, broadcast, publish

            class Shipped(Event, on=Channel("orders")):
                id: int

            for number in range(3):
                publish("orders", "tick", number)
            broadcast(Shipped(7))
        """
        done = on_windows(code, tmp_path, SOUNDPOST_DELIVER=deliver, **credentials(server))
        assert (done.returncode, done.stderr) == (0, "")
        assert [client.read_event()["event"] for _ in range(4)] == ["tick", "tick", "tick", "Shipped"]


def test_coroutines_broadcast(server: RunningServer, tmp_path: Path) -> None:
    with server.connect() as client:
        client.subscribe("orders")
        code = """
            import asyncio
            from soundpost import apublish

            async def main():
                await asyncio.gather(*(apublish("orders", "tick", number) for number in range(5)))

            asyncio.run(main())
        """
        done = on_windows(code, tmp_path, **credentials(server))
        assert (done.returncode, done.stderr) == (0, "")
        assert [client.read_event()["event"] for _ in range(5)] == ["tick"] * 5


def test_both_clients_listen(server: RunningServer, tmp_path: Path) -> None:
    code = """
        import asyncio, os
        from soundpost import apublish, publish
        from soundpost.client import Client, SyncClient

        address, key = os.environ["ADDRESS"], os.environ["KEY"]
        with SyncClient(address, key) as client:
            orders = client.subscribe("orders")
            publish("orders", "to a thread", 1)
            print(next(event.name for event in orders if not event.name.startswith("pusher:")))

        async def main():
            async with Client(address, key) as client:
                orders = await client.subscribe("orders")
                await apublish("orders", "to a coroutine", 1)
                print(await anext(event.name async for event in orders if not event.name.startswith("pusher:")))

        asyncio.run(main())
    """
    address = f"http://127.0.0.1:{server.port}"
    printed = output_of(code, tmp_path, ADDRESS=address, KEY=DEFAULT_APP.key, **credentials(server))
    assert printed.splitlines() == ["to a thread", "to a coroutine"]


@pytest.mark.parametrize("framework", ["django", "fastapi", "flask"])
def test_a_request_broadcasts(server: RunningServer, tmp_path: Path, framework: str) -> None:
    programs = {
        "django": """
            import django
            from django.conf import settings

            settings.configure(DEBUG=True, ROOT_URLCONF=__name__, INSTALLED_APPS=["soundpost.django"], DATABASES={})
            django.setup()
            from django.http import HttpResponse
            from django.test import Client
            from django.urls import path
            from soundpost import publish

            def view(request):
                publish("orders", "from a request", 1)
                return HttpResponse()

            urlpatterns = [path("order", view)]
            assert Client().post("/order").status_code == 200
        """,
        "fastapi": """
            from typing import Annotated
            from fastapi import Depends, FastAPI
            from fastapi.testclient import TestClient
            from soundpost.fastapi import RequestBroadcaster, Soundpost

            sp = Soundpost.from_env()
            app = FastAPI(lifespan=sp.lifespan)

            @app.post("/order")
            async def order(bc: Annotated[RequestBroadcaster, Depends(sp.broadcaster)]) -> None:
                await bc.publish("orders", "from a request", 1)

            with TestClient(app) as client:
                assert client.post("/order").status_code == 200
        """,
        "flask": """
            from flask import Flask
            from soundpost.flask import Soundpost

            app = Flask(__name__)
            sp = Soundpost(app)

            @app.post("/order")
            def order():
                sp.broadcast.publish("orders", "from a request", 1)
                return {}

            assert app.test_client().post("/order").status_code == 200
        """,
    }
    with server.connect() as client:
        client.subscribe("orders")
        output_of(programs[framework], tmp_path, **credentials(server))
        assert client.read_event()["event"] == "from a request"


def test_the_command_line_publishes_and_listens(server: RunningServer, tmp_path: Path) -> None:
    url, key = ("--url", f"http://127.0.0.1:{server.port}"), ("--key", DEFAULT_APP.key)
    app = ("--app-id", DEFAULT_APP.id, *key, "--secret", DEFAULT_APP.secret)
    done = command(tmp_path, "trigger", "cache-orders", "Shipped", '{"id": 7}', *url, *app)
    assert done.returncode == 0, done.stderr
    done = command(tmp_path, "listen", "cache-orders", "--count", "1", *url, *key)
    assert done.returncode == 0, done.stderr
    assert "Shipped" in done.stdout


def test_the_doctor_examines_a_server_elsewhere(server: RunningServer, tmp_path: Path) -> None:
    done = command(tmp_path, "doctor", "--url", f"http://127.0.0.1:{server.port}", "--key", DEFAULT_APP.key)
    assert "No fault found" in done.stdout + done.stderr
    assert done.returncode == 0


def test_init_writes_credentials_with_which_the_doctor_looks_for_a_server(tmp_path: Path) -> None:
    done = command(tmp_path, "init")
    assert done.returncode == 0, done.stderr
    assert "[[apps]]" in (tmp_path / "soundpost.toml").read_text()
    done = command(tmp_path, "doctor", "--url", "http://127.0.0.1:1")
    assert "[tcp-refused]" in done.stdout, done.stderr
    assert done.returncode == 1


def test_commands_that_need_another_system_say_so(tmp_path: Path) -> None:
    code = """
        from soundpost.tools.cli.app import main

        for command in sys.argv[1:]:
            sys.argv = ["soundpost", *command.split()]
            try:
                main()
            except SystemExit as end:
                print(end.code, command)
    """
    commands = ["start", "status", "reload", "restart", "bench", "deploy nginx --server-name ws.example.com"]
    done = on_windows(code, tmp_path, *commands)
    assert done.stdout.splitlines() == [f"1 {each}" for each in commands]
    assert [line for line in done.stderr.splitlines() if REFUSAL not in line] == []
    assert len(done.stderr.splitlines()) == len(commands)


def test_the_server_of_the_tests_says_so(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text("def test_shop(soundpost_server): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "support.windows", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    assert REFUSAL in done.stdout
    assert "1 error" in done.stdout
