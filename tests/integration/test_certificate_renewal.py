"""A certificate that is renewed while the server runs, and which versions of TLS are spoken."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from soundpost.core.app_settings import AppSettings
from support.certificates import Authority, Certificate
from support.deployed_proxy import TlsSocket
from support.harness import DEFAULT_APP, RunningServer, running_server, until
from support.operated import CALM, operated


class Served:
    """The files of a server's certificate and key, made by an authority of its own."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder)
        self.chain, self.key = folder / "live.crt", folder / "live.key"
        self.client = TlsSocket.trusting(self._authority.file)
        self.renew()

    @property
    def tls(self) -> dict[str, Any]:
        return {"certificate": str(self.chain), "key": str(self.key)}

    def new(self) -> Certificate:
        return self._authority.certificate("localhost")

    def renew(self) -> int:
        """Put a new pair in place; give its serial number."""
        made = self.new()
        for source, target in ((made.key, self.key), (made.chain, self.chain)):
            put(source, target)
        return x509.load_pem_x509_certificate(made.chain.read_bytes()).serial_number


def put(source: Path, target: Path) -> None:
    """Replace a file in one step."""
    copy = target.with_suffix(".new")
    shutil.copyfile(source, copy)
    copy.replace(target)


def serial(port: int) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 20) as plain, context.wrap_socket(plain) as tls:
        found = tls.getpeercert(binary_form=True)
        assert found is not None
        return x509.load_der_x509_certificate(found).serial_number


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.fixture(params=[1, 3], ids=["one process", "workers"])
def server(request: pytest.FixtureRequest, served: Served) -> Iterator[RunningServer]:
    with running_server(tls=served.tls, workers=request.param) as running:
        yield running


def all_show(server: RunningServer, number: int, times: int = 12) -> None:
    """Wait until new connections, to whichever worker, are shown a certificate."""
    until(lambda: all(serial(server.port) == number for _ in range(times)), f"certificate {number} is shown")


def test_a_renewed_certificate_is_used_for_new_connections_and_old_ones_stay(
    server: RunningServer, served: Served
) -> None:
    with served.client.open(server.port) as client:
        for _ in range(2):
            all_show(server, served.renew())
        client.subscribe("room")  # all the time it was open
        assert len(server.wait_for_log("was read anew: it is used from now on", 2)) >= 2
        with served.client.open(server.port) as another:
            another.subscribe("room")


@pytest.mark.parametrize("fault", ["the key of another", "no certificate", "missing"])
def test_a_broken_pair_is_logged_once_and_the_one_before_stays(
    server: RunningServer, served: Served, fault: str
) -> None:
    before = serial(server.port)
    whole = served.chain.read_bytes()
    if fault == "missing":
        served.chain.unlink()
    elif fault == "no certificate":
        served.chain.write_text("certificate?")
    else:
        put(served.new().chain, served.chain)
    processes = max(1, len(server.workers()))
    lines = server.wait_for_log("the certificate has changed, but the one before stays in use: cannot use", processes)
    assert str(served.chain) in lines[0]
    assert serial(server.port) == before
    time.sleep(2.5)  # seconds of the server's clock: it looks every second
    assert server.log().count("stays in use") == processes
    served.chain.write_bytes(whole)
    all_show(server, served.renew())


def test_a_symbolic_link_that_leads_elsewhere_is_noticed(served: Served, tmp_path: Path) -> None:
    """As certbot and Kubernetes renew them."""
    folders = [tmp_path / "1", tmp_path / "2"]
    for folder in folders:
        folder.mkdir()
        served.renew()
        shutil.copy(served.chain, folder / "tls.crt")
        shutil.copy(served.key, folder / "tls.key")
        os.utime(folder / "tls.crt", (1, 1))
    live = tmp_path / "live"
    live.symlink_to(folders[0])
    with running_server(tls={"certificate": str(live / "tls.crt"), "key": str(live / "tls.key")}) as server:
        before = serial(server.port)
        other = tmp_path / "other"
        other.symlink_to(folders[1])
        other.replace(live)
        until(lambda: serial(server.port) != before, "the other certificate is shown")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_to_reload_reads_it_at_once(served: Served, workers: int) -> None:
    with operated() as server:
        tls = f'tls = {{ certificate = "{served.chain}", key = "{served.key}" }}'
        server.configure(f"{CALM}workers = {workers}\n{tls}\n")
        server.start()
        renewed = served.renew()
        assert server.run("reload").returncode == 0
        until(lambda: all(serial(server.port) == renewed for _ in range(6)), "the renewed certificate is shown")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("fault", ["the key of another", "no certificate", "missing", "not to be read"])
def test_a_reload_with_a_certificate_that_cannot_be_used_fails_and_changes_nothing(
    served: Served, workers: int, fault: str
) -> None:
    with operated() as server:
        tls = f'tls = {{ certificate = "{served.chain}", key = "{served.key}" }}'
        server.configure(f"{CALM}workers = {workers}\n{tls}\n")
        server.start()
        before = serial(server.port)
        if fault == "missing":
            served.chain.unlink()
        elif fault == "no certificate":
            served.chain.write_text("certificate?")
        elif fault == "not to be read":
            served.chain.unlink()
            served.chain.mkdir()
        else:
            put(served.new().chain, served.chain)
        another = AppSettings(id="2", key="second-key", secret="second-secret")
        server.configure(f"{CALM}workers = {workers}\n{tls}\n", apps=[DEFAULT_APP, another])
        for noticed in (False, True):
            if noticed:  # by the server itself, which tells the log
                server.said("the certificate has changed, but the one before stays in use")
            done = server.run("reload")
            assert (done.returncode, done.stdout) == (1, "")
            assert f"cannot use the certificate {served.chain} with key {served.key}: " in done.stderr
        assert [app["id"] for app in server.status()["apps"]] == ["1"]
        assert serial(server.port) == before
        if served.chain.is_dir():
            served.chain.rmdir()
        renewed = served.renew()
        done = server.run("reload")
        assert (done.returncode, done.stdout) == (0, "apps reloaded: new: 2\n")
        until(lambda: all(serial(server.port) == renewed for _ in range(6)), "the renewed certificate is shown")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TLS 1.1 itself
@pytest.mark.parametrize(("minimum", "spoken"), [("1.2", ["TLSv1.2", "TLSv1.3"]), ("1.3", ["TLSv1.3"])])
def test_older_versions_of_tls_are_refused(served: Served, minimum: str, spoken: list[str]) -> None:
    with running_server(tls={**served.tls, "minimum_version": minimum}) as server:
        found = []
        for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            try:
                with (
                    socket.create_connection(("127.0.0.1", server.port), 20) as plain,
                    context.wrap_socket(plain) as tls,
                ):
                    found.append(tls.version())
            except (ssl.SSLError, ConnectionError):
                continue
        assert found == spoken
