"""Whole deployments of real processes, healthy and broken: the verdict of the plain ``soundpost doctor`` on each.

Server, Nginx and Redis are started as a page of the documentation says, with one mistake. The verdict is the ids of
the faults, the ids of what follows from them, the ids of warnings, and the exit code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from support.cli_process import shell
from support.doctor_deployment import CREDENTIALS, SECRET, TABLE, Arguments, Machine, SetUp, deployment, examined, row
from support.doctor_stage import FORWARDED, stage
from support.harness import RunningServer
from support.redis_process import running_redis


@deployment("healthy: deployed as docs/deployment.md says, public_url")
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    return ()


@deployment("healthy: a developer's server without a proxy")
def _(on: Machine) -> Arguments:
    on.configure()
    on.start()
    return ()


@deployment("healthy: SOUNDPOST_PUBLIC_URL in .env, beside the same VITE_REVERB_…")
def _(on: Machine) -> Arguments:
    proxy = on.proxy()
    on.configure()
    on.file(
        ".env",
        f"SOUNDPOST_PUBLIC_URL=https://localhost:{proxy}\nVITE_REVERB_HOST=localhost\nVITE_REVERB_PORT={proxy}\n",
    )
    on.start()
    return ()


@deployment("healthy: with Redis")
def _(on: Machine) -> Arguments:
    redis = on.on.stack.enter_context(running_redis())
    on.deployed(on.proxy(), scaling=f'[scaling]\nredis = "{redis.url}"\n')
    return ()


@deployment("healthy: a Unix socket behind Nginx")
def _(on: Machine) -> Arguments:
    path = on.sh.directory.parent / "s.sock"
    for folder in (on.sh.directory.parent, *on.sh.directory.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)  # Nginx's workers are another user's
    proxy = on.nginx(f"location / {{ proxy_pass http://unix:{path}; {FORWARDED} }}")
    on.deployed(proxy, f'unix_socket = "{path}"')
    return ()


@deployment(
    "hostname alone: nobody knows where browsers connect",
    warnings=("public-address-unknown",),
    says=("hostname is ws.nowhere.invalid", 'public_url = "https://ws.nowhere.invalid"'),
)
def _(on: Machine) -> Arguments:
    on.configure('hostname = "ws.nowhere.invalid"')
    on.start()
    return ()


@deployment("an example's secret", warnings=("placeholder-secret",))
def _(on: Machine) -> Arguments:
    on.configure()
    toml = on.sh.directory / "soundpost.toml"
    toml.write_text(toml.read_text().replace(SECRET, "your-app-secret"))
    on.start()
    return ()


@deployment(
    "backend.env with a dead port, beside the server's soundpost.toml",
    "wrong-address-in-backend",
    says=("(backend.env: SOUNDPOST_PORT)", "of 127.0.0.1: connection refused"),
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    on.file("backend.env", f"{CREDENTIALS}SOUNDPOST_PORT={on.on.closed_port()}\n")
    return ("--env", "backend.env")


@deployment(
    "backend.env with the public name and http", "public-address-in-backend", says=("SOUNDPOST_HOST=127.0.0.1",)
)
def _(on: Machine) -> Arguments:
    proxy = on.proxy()
    on.deployed(proxy)
    on.file("backend.env", f"{CREDENTIALS}SOUNDPOST_HOST=localhost\nSOUNDPOST_PORT={proxy}\nSOUNDPOST_SCHEME=http\n")
    return ("--env", "backend.env")


@deployment(
    "a backend told the public name, where Nginx forwards /app/ only",
    "public-address-in-backend",
    warnings=("configuration-warning",),
)
def _(on: Machine) -> Arguments:
    proxy = on.nginx(f"location /app/ {{ proxy_pass http://UPSTREAM; {FORWARDED} }}")
    on.file(".env", f"SOUNDPOST_HOST=localhost\nSOUNDPOST_PORT={proxy}\nSOUNDPOST_SCHEME=https\n")
    on.deployed(proxy)
    return ()


@deployment(
    "browsers told the inner port by SOUNDPOST_PUBLIC_PORT",
    "internal-port-in-browser",
    says=(".env: SOUNDPOST_PUBLIC_PORT", "once: SOUNDPOST_PUBLIC_URL=https://localhost:"),
)
def _(on: Machine) -> Arguments:
    on.file(".env", f"SOUNDPOST_PUBLIC_PORT={on.port}\n")
    on.deployed(on.proxy())
    return ()


@deployment(
    "browsers told the inner port by VITE_REVERB_PORT",
    "env-public-differs",
    follow=("port-speaks-http",),
    says=("frontend.env: VITE_REVERB_PORT", "soundpost.toml: public_url"),
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    on.file(
        "frontend.env",
        f"VITE_REVERB_APP_KEY=key-1\nVITE_REVERB_HOST=localhost\nVITE_REVERB_PORT={on.port}\nVITE_REVERB_SCHEME=https\n",
    )
    return ("--env", "frontend.env")


@deployment(
    "Nginx with another upstream port", "proxy-wrong-upstream", says=("in the block 'upstream soundpost'", "127.0.0.1:")
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy(upstream=on.on.closed_port()))
    return ()


@deployment("Nginx without the Upgrade header", "upgrade-header-lost")
def _(on: Machine) -> Arguments:
    on.deployed(on.nginx("location / { proxy_pass http://UPSTREAM; proxy_http_version 1.1; }"))
    return ()


@deployment("a certificate that nobody trusts", "certificate-self-signed")
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy(tls=on.on.authority.self_signed()))
    return ()


@deployment("443 without ssl", "port-speaks-http", says=("→ In Nginx: 'listen ",))
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy(tls=None))
    return ()


@deployment("Nginx is not started", "tcp-refused")
def _(on: Machine) -> Arguments:
    on.deployed(on.on.closed_port())
    return ()


@deployment(
    "public_url with a path that nobody has", "path-prefix-wrong", says=("but at /app/key-1", "→ Leave the path out")
)
def _(on: Machine) -> Arguments:
    on.configure(f'public_url = "https://localhost:{on.proxy()}/nobody"')
    on.start()
    return ()


@deployment(
    "an old key in backend.env",
    "app-key-unknown",
    follow=("app-key-mismatch",),
    says=("'old-key' (backend.env: SOUNDPOST_APP_KEY) (4001)",),
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    on.file("backend.env", f"{CREDENTIALS.replace('key-1', 'old-key')}SOUNDPOST_PORT={on.port}\n")
    return ("--env", "backend.env")


@deployment(
    "another secret in backend.env",
    "app-secret-wrong",
    says=("the secret (backend.env: SOUNDPOST_APP_SECRET)",),
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    on.file("backend.env", f"{CREDENTIALS.replace(SECRET, 'pond-4-mirror')}SOUNDPOST_PORT={on.port}\n")
    return ("--env", "backend.env")


@deployment("a clock that is an hour ahead", "clock-skew", says=("is ahead of that of the server by 36",))
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    return ("AHEAD",)


@deployment("a page of another origin", "origin-refused", says=("https://www.example.com",))
def _(on: Machine) -> Arguments:
    on.file(".env", "APP_URL=https://www.example.com\n")
    on.deployed(on.proxy(), app='allowed_origins = ["shop.example.com"]\n')
    return ()


@deployment(
    "Redis is down",
    "redis-unreachable",
    follow=("delivered-locally",),
    says=(": Connection refused [redis-unreachable]",),
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy(), scaling=f'[scaling]\nredis = "redis://127.0.0.1:{on.on.closed_port()}"\n')
    return ()


@deployment("the server is not started", "server-not-running", follow=("bad-gateway", "tcp-refused"))
def _(on: Machine) -> Arguments:
    on.configure(f'public_url = "https://localhost:{on.proxy()}"')
    return ()


@deployment(
    "the server is started on another port than configured",
    "server-not-running",
    follow=("tcp-refused", "tcp-refused"),
    says=("of yours run", "→ Is the running server the one you mean?"),
)
def _(on: Machine) -> Arguments:
    on.configure()
    on.start("--port", str(on.on.free_port()))
    return ()


@deployment(
    "another web server has the port",
    "port-in-use",
    follow=("answered-by-web-page", "api-not-forwarded"),
    says=("there is no HTTP API at http://127.0.0.1:", "is answered with 404 by a web page"),
)
def _(on: Machine) -> Arguments:
    on.configure(f'public_url = "https://localhost:{on.proxy()}"')
    other = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", str(on.port), "--bind", "127.0.0.1"],
        cwd=on.on.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    on.on.stack.enter_context(other)
    on.on.stack.callback(other.kill)
    assert other.stdout is not None
    assert "Serving HTTP" in other.stdout.readline()
    return ()


@deployment(
    "the path was changed after the start",
    "configuration-not-loaded",
    follow=("path-prefix-wrong", "api-not-forwarded"),
    says=("has another configuration than this folder: it answers 404", "→ 'soundpost restart --wait'"),
)
def _(on: Machine) -> Arguments:
    on.configure()
    on.start()
    on.configure('path = "/ws"')
    return ()


@deployment(
    "the path was changed after the start of workers",
    "configuration-not-loaded",
    follow=("path-prefix-wrong", "api-not-forwarded"),
    says=("→ Stop the server and start it again",),
)
def _(on: Machine) -> Arguments:
    on.configure()
    on.start("--workers", "2")
    on.configure('path = "/ws"')
    return ()


@deployment(
    "a soundpost.toml of another folder, for the port of a server that runs",
    "server-has-other-apps",
    follow=("app-key-unknown", "app-id-unknown"),
    says=("does not have the app 2 as it is configured here", "started in /", "→ 'soundpost reload'", "another port"),
)
def _(on: Machine) -> Arguments:
    on.configure()
    on.start()
    toml = on.sh.directory / "soundpost.toml"
    toml.write_text(toml.read_text().replace('id = "1"\nkey = "key-1"', 'id = "2"\nkey = "key-2"'))
    return ()


@deployment(
    "the secret was changed after the start",
    "server-has-other-apps",
    follow=("app-secret-wrong",),
    says=("the secret is not that of app 1", "→ 'soundpost reload'"),
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    toml = on.sh.directory / "soundpost.toml"
    toml.write_text(toml.read_text().replace(SECRET, "pond-4-mirror"))
    return ()


@deployment(
    "a server that a signal has stopped",
    "server-hangs",
    follow=("http-timeout", "http-timeout"),
    says=("accepts connections at port", "it was stopped by a signal (SIGSTOP)", "→ 'kill -CONT "),
)
def _(on: Machine) -> Arguments:
    on.deployed(on.proxy())
    assert on.server is not None
    on.server.popen.send_signal(signal.SIGSTOP)
    return ()


@deployment("a name that does not exist", "dns-unknown")
def _(on: Machine) -> Arguments:
    on.configure('public_url = "https://ws.nowhere.invalid"')
    on.start()
    return ()


@pytest.fixture(name="machine")
def _machine(tmp_path: Path, server: RunningServer) -> Iterator[Machine]:
    folder = tmp_path / "stage"
    folder.mkdir()
    with shell(tmp_path) as sh, stage(folder, server) as on:
        sh.environ["SSL_CERT_FILE"] = str(on.authority.file)
        yield Machine(sh, on)


@pytest.mark.parametrize("set_up", TABLE, ids=lambda each: each.name)
def test_the_doctor_finds_the_faults_of_each_deployment(machine: Machine, set_up: SetUp) -> None:
    verdict, text = examined(machine, set_up.build(machine))
    print(row(set_up.name, verdict))
    assert verdict == set_up.verdict, text
    for part in set_up.says:
        assert part in text
    count = len(verdict.faults)
    assert ("No fault found" if not count else f"{count} fault{'s' * (count > 1)} found") in text
    _assert_quiet(machine)


def test_a_worker_that_hangs_is_named_and_no_proxy_is_blamed(machine: Machine) -> None:
    machine.configure()
    machine.start("--workers", "2")
    assert machine.server is not None
    parent = machine.server.popen.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (worker, *_) = [int(child) for child in children if b"soundpost" in Path(f"/proc/{child}/cmdline").read_bytes()]
    os.kill(worker, signal.SIGSTOP)
    try:
        verdict, text = examined(machine, ())
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)
    assert verdict.faults == ("worker-hangs",), text
    assert "proxy" not in text


_EXPECTED: Final = ("Redis", "/apps/", "soundpost.api", "placeholder", "publish to", "applications publish")
"""Parts of lines that the doctor does not cause, or that an attempt with a wrong secret or id may leave."""


def _assert_quiet(machine: Machine) -> None:
    """Check that the doctor's attempts left no other warning in the server's log."""
    if machine.server is None:
        return
    machine.server.popen.send_signal(signal.SIGCONT)
    machine.server.stop()
    lines = [line for line in machine.server.rest_of_err() if "WARNING" in line]
    assert [line for line in lines if not any(each in line for each in _EXPECTED)] == []
