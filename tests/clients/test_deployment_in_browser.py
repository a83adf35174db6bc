"""The deployment of docs/deployment.md, by the ``deploy`` commands alone: a browser speaks ``wss`` to Nginx's TLS port,
Nginx to the server inside, Supervisor has it back when it is killed."""

from __future__ import annotations

import getpass
import os
import signal
import time
from contextlib import suppress
from urllib.parse import urlencode

import httpx

from soundpost import Broadcaster, PresenceChannel
from support.browser import Browser
from support.command_line import CommandLine, command_line
from support.deployed_proxy import main_file, running_nginx_with
from support.harness import DEFAULT_APP, RawSocket, until
from support.raw_socket import TIMEOUT
from support.redis_process import free_port
from support.self_signed import self_signed
from support.supervisor_process import running_supervisor
from support.web_app import WebApp

__all__ = ["command_line"]

APP = f'[[apps]]\nid = "{DEFAULT_APP.id}"\nkey = "{DEFAULT_APP.key}"\nsecret = "{DEFAULT_APP.secret}"\n'


def test_a_page_over_nginx_supervisor_and_tls(command_line: CommandLine, web_app: WebApp, browser: Browser) -> None:
    folder, inside, outside = command_line.directory, free_port(), free_port()
    file = folder / "soundpost.toml"
    file.write_text(f'[server]\nhost = "127.0.0.1"\nport = {inside}\nshutdown_timeout = 1\n{APP}')
    file.chmod(0o600)
    certificate, key = self_signed(folder)
    log = folder / "soundpost.log"
    for command in (
        ("supervisor", "--user", getpass.getuser(), "--log", str(log)),
        ("nginx", "--server-name", "localhost", "--listen", str(outside), "--http-port", str(free_port()),
         "--certificate", str(certificate), "--key", str(key)),
    ):  # fmt: skip
        done = command_line.run("deploy", *command, "--connections", "200", "--write", "--root", str(folder / "root"))
        assert done.exit_code == 0, done.stderr
    written = next(path for path in (folder / "root/etc/nginx").rglob("*soundpost*") if path.is_file())
    backend = Broadcaster()
    backend.configure(
        app_id=DEFAULT_APP.id, key=DEFAULT_APP.key, secret=DEFAULT_APP.secret, port=inside, timeout=TIMEOUT
    )

    def serves() -> bool:
        with suppress(OSError, EOFError, AssertionError):
            RawSocket.open(inside).socket.close()
            return True
        return False

    with (
        running_supervisor(folder / "root/etc/supervisor/conf.d/*.conf") as supervisor,
        running_nginx_with(main_file(folder, f"include {written};"), outside),
    ):
        until(serves, lambda: log.read_text())
        assert httpx.get(f"https://127.0.0.1:{outside}/up/ready", verify=False, timeout=TIMEOUT).status_code == 200
        query = urlencode({"key": DEFAULT_APP.key, "port": outside, "room": "shop", "user": "ann", "tls": ""})
        page = browser.open(f"{web_app.url}/?{query}", "behind nginx", any_certificate=True)
        page.shows("#status", "connected")
        page.count('#log [data-event="subscribed"][data-channel="presence-shop"]', 1)
        backend.publish(PresenceChannel("shop"), "post.edited", {"id": 1})
        page.shows('#log [data-event="post.edited"]', '{"id":1}')
        assert f"wss://127.0.0.1:{outside}/app/" in str(browser.traffic())

        killed, before = time.monotonic(), supervisor.pid("soundpost")
        os.kill(before, signal.SIGKILL)
        until(serves, lambda: log.read_text())
        print(f"serves again {time.monotonic() - killed:.1f} s after kill -9")
        page.count('#log [data-event="subscribed"][data-channel="presence-shop"]', 2)
        print(f"the page is subscribed again {time.monotonic() - killed:.1f} s after kill -9")
        assert supervisor.pid("soundpost") != before
        backend.publish(PresenceChannel("shop"), "post.edited", {"id": 2})
        page.count('#log [data-event="post.edited"]', 2)
    browser.reset()
