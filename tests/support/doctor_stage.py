"""Where faults are set up for real: servers, Nginx with a broken configuration, certificates, raw sockets."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from soundpost.core.app_settings import AppSettings
from soundpost.tools.doctor import CheckPlan, Examination, examine, timeouts
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from support.certificates import Authority, Certificate
from support.harness import DEFAULT_APP, RunningServer, running_server, until
from support.nginx_process import temporary_paths
from support.raw_socket import TIMEOUT
from support.redis_process import free_port

_CONFIGURATION: Final = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    {temporary}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    limit_req_zone $server_name zone=few:1m rate=1r/m;
    {http}
    server {{
        listen 127.0.0.1:{port}{listen};
        server_name localhost;
        {server}
    }}
}}
"""
FORWARDED: Final = """
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_read_timeout 120s;
"""
"""What a location of Nginx needs."""
Serve = Callable[[socket.socket], None]


def silent(sock: socket.socket) -> None:
    """Say nothing until the client goes."""
    while sock.recv(65_536):
        pass


class Stage:
    """Sets things up; all of it ends with the stage."""

    def __init__(self, folder: Path, stack: ExitStack, server: RunningServer) -> None:
        self.folder = folder
        self.server = server
        """One that runs for all scenes, with one app."""
        self.authority = Authority(folder)
        self.stack = stack
        self._count = 0

    def start(self, *, app: AppSettings = DEFAULT_APP, **settings: Any) -> RunningServer:
        """A server of its own."""
        return self.start_all([app], **settings)

    def start_all(self, apps: Sequence[AppSettings], **settings: Any) -> RunningServer:
        """A server of its own with several apps."""
        return self.stack.enter_context(running_server(apps=apps, **{"workers": 1, **settings}))

    def background(self, run: Callable[[], None]) -> None:
        """Run it in a thread, until what it serves is closed."""
        threading.Thread(target=run, daemon=True).start()

    def nginx(
        self, server: str, *, tls: Certificate | None = None, listen: str = "", http: str = "", upstream: int = 0
    ) -> int:
        """An Nginx with this in its server block, ``UPSTREAM`` standing for a server's address; its port."""
        self._count += 1
        folder = self.folder / f"nginx-{self._count}"
        folder.mkdir()
        port = free_port()
        if tls is not None:
            listen = f" ssl{listen}"
            server = f"ssl_certificate {tls.chain}; ssl_certificate_key {tls.key};\n{server}"
        text = _CONFIGURATION.format(
            temporary=temporary_paths(folder),
            folder=folder,
            port=port,
            listen=listen,
            http=http,
            server=server.replace("UPSTREAM", f"127.0.0.1:{upstream or self.server.port}"),
        )
        (folder / "nginx.conf").write_text(text)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", f"{folder}/error.log"])
        self.stack.callback(process.wait, 10)
        self.stack.callback(process.terminate)

        def listens() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        until(listens, "nginx listens")
        return port

    def proxy(self, *, tls: Certificate | None = None, upstream: int = 0) -> int:
        """An Nginx as it should be."""
        return self.nginx(f"location / {{ proxy_pass http://UPSTREAM; {FORWARDED} }}", tls=tls, upstream=upstream)

    def certificate(self) -> Certificate:
        """One as it should be; whoever trusts ``authority`` trusts it."""
        return self.authority.certificate("localhost")

    def raw(self, serve: Serve) -> int:
        """A TCP server that handles each connection in a thread of its own; its port."""
        listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        open_sockets: list[socket.socket] = []

        def handle(sock: socket.socket) -> None:
            with suppress(OSError, EOFError):
                serve(sock)
            sock.close()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    open_sockets.append(sock)
                    threading.Thread(target=handle, args=[sock], daemon=True).start()

        def close() -> None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for sock in open_sockets:
                sock.close()

        threading.Thread(target=accept, daemon=True).start()
        self.stack.callback(close)
        return int(listener.getsockname()[1])

    def http(self, answer: bytes) -> int:
        """A server that gives every request this answer."""

        def serve(sock: socket.socket) -> None:
            received = b""
            while b"\r\n\r\n" not in received:
                data = sock.recv(65_536)
                if not data:
                    return
                received += data
            sock.sendall(answer)

        return self.raw(serve)

    def h2_only(self, certificate: Certificate) -> int:
        """A server that offers h2 alone, and begins as every HTTP/2 server does."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate.chain, certificate.key)
        context.set_alpn_protocols(["h2"])

        def serve(sock: socket.socket) -> None:
            with context.wrap_socket(sock, server_side=True) as tls:
                tls.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
                tls.recv(1000)
                tls.sendall(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 7 + b"\x01")

        return self.raw(serve)

    def await_no_event(self) -> None:
        """Let the doctor wait for a moment only for a connection or an event: it never comes."""
        timeouts.CONNECT = 1.5

    def await_no_answer(self) -> None:
        """Let the doctor wait for a moment only for an answer or a message: it never comes."""
        timeouts.ANSWER = 1.5

    def free_port(self) -> int:
        """A port for a server that is started later."""
        return free_port()

    def closed_port(self) -> int:
        """A port that is taken, so that nobody else gets it, but not listened on."""
        taken = self.stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])

    def dropping_port(self) -> int:
        """A port that does not answer: its queue is full, so the kernel drops what comes, as a firewall does."""
        listener = self.stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = self.stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        return int(listener.getsockname()[1])

    def file(self, name: str, text: str) -> Path:
        """A file in the stage's folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


PAGE: Final = "default_type text/html; return 200 '<!doctype html><title>Our shop</title>';"
"""What makes a location of Nginx a web application."""


def place(port: int, scheme: str = "http", path: str = "", host: str = "localhost") -> BaseUrl:
    """On this machine."""
    return parse_base_url(f"{scheme}://{host}:{port}{path}")


def plan(public: BaseUrl | None, **more: Any) -> CheckPlan:
    """To examine the app of the tests; the check of a browser only, unless ``more`` has app id and secret."""
    return CheckPlan(**{"public": public, "key": DEFAULT_APP.key, "public_ports": (), **more})


def both(public: BaseUrl | None, backend: BaseUrl | None = None, **more: Any) -> CheckPlan:
    """With all credentials: the checks of browser, backend and delivery."""
    credentials = {"app_id": DEFAULT_APP.id, "secret": DEFAULT_APP.secret}
    return plan(public, **{"backend": backend or public, **credentials, **more})


class Scene(NamedTuple):
    """A fault that is set up, and the id it must be reported by."""

    code: str
    set_up: str
    """In words, for docs/doctor.md."""
    build: Callable[[Stage], CheckPlan]
    module: str


SCENES: Final[list[Scene]] = []


def scene(code: str, set_up: str) -> Callable[[Callable[[Stage], CheckPlan]], Callable[[Stage], CheckPlan]]:
    """Register what builds a scene."""

    def register(build: Callable[[Stage], CheckPlan]) -> Callable[[Stage], CheckPlan]:
        SCENES.append(Scene(code, set_up, build, build.__module__))
        return build

    return register


def scenes_of(module: str) -> pytest.MarkDecorator:
    """Parametrizes a test with the scenes of its module."""
    own = [each for each in SCENES if each.module == module]
    return pytest.mark.parametrize("set_up", own, ids=lambda each: f"{each.code}: {each.set_up}")


def examined(wanted: CheckPlan) -> Examination:
    """All steps."""
    examination = Examination()
    examine(wanted, examination)
    return examination


def assert_named(examination: Examination, code: str) -> None:
    """The first thing that is wrong has this id."""
    wrong = [step for step in examination.steps if step.code is not None]
    assert wrong, [f"{step.check} {step.name}: {step.message}" for step in examination.steps]
    assert wrong[0].code == code, [f"{step.code}: {step.message}" for step in wrong]
    assert wrong[0].message
    assert wrong[0].fix


@contextmanager
def stage(folder: Path, server: RunningServer) -> Iterator[Stage]:
    """A stage, and its end."""
    with ExitStack() as stack:
        yield Stage(folder, stack, server)


@pytest.fixture(name="on")
def trusted_stage(tmp_path: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage whose authority is trusted, on which a machine that stands still for seconds is no fault."""
    monkeypatch.setattr(timeouts, "CONNECT", TIMEOUT)
    monkeypatch.setattr(timeouts, "ANSWER", TIMEOUT)
    with stage(tmp_path, server) as made:
        monkeypatch.setenv("SSL_CERT_FILE", str(made.authority.file))
        yield made


def codes(examination: Examination) -> Sequence[str]:
    """The ids of all that is wrong."""
    return [step.code for step in examination.steps if step.code is not None]
