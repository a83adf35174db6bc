"""Reload of a certificate whose files change."""

from __future__ import annotations

import logging
import shutil
import ssl
from pathlib import Path
from typing import Final

import pytest

from soundpost.config import TlsSettings
from soundpost.errors import ProxyHeaderError, StartError
from soundpost.server.connections.tls import Certificate, check_certificate
from support.certificates import Authority

HTTP: Final = b"HTTP/1.1 400 Bad Request\r\n\r\n"


class Files:
    """The files of a certificate and its key, renewed at will."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder)
        self.chain, self.key = folder / "live.crt", folder / "live.key"
        self.new = self._authority.certificate("localhost")
        self.put_chain()
        self.put_key()

    @property
    def settings(self) -> TlsSettings:
        return TlsSettings(certificate=str(self.chain), key=str(self.key))

    def renew(self) -> None:
        self.new = self._authority.certificate("localhost")

    def put_chain(self) -> None:
        shutil.copyfile(self.new.chain, self.chain)

    def put_key(self) -> None:
        shutil.copyfile(self.new.key, self.key)


def explain(fault: ProxyHeaderError | None, data: bytes) -> bytes:
    return HTTP


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def certificate(files: Files) -> Certificate:
    return Certificate(files.settings, explain)


def shown(certificate: Certificate) -> bytes:
    """Return the certificate that a client is shown."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = certificate.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    for side in (theirs, ours, theirs, ours):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = theirs.getpeercert(binary_form=True)
    assert found is not None
    return found


def look(certificate: Certificate, times: int) -> None:
    for _ in range(times):
        certificate.reload_if_changed()


def test_one_that_is_the_same_is_not_read(certificate: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    before = shown(certificate)
    look(certificate, 5)
    certificate.reload()
    assert shown(certificate) == before
    assert not caplog.messages


def test_a_changed_one_is_read_once(files: Files, certificate: Certificate, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = shown(certificate)
    files.renew()
    files.put_chain()
    files.put_key()
    look(certificate, 5)
    assert shown(certificate) != before
    assert caplog.messages == [f"the certificate {files.chain} was read anew: it is used from now on"]


def test_a_pair_that_is_written_meanwhile_is_not_tried(
    files: Files, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = shown(certificate)
    files.renew()
    files.put_chain()
    look(certificate, 1)
    assert shown(certificate) == before
    files.put_key()
    look(certificate, 2)
    assert shown(certificate) != before
    assert [record.levelno for record in caplog.records] == [logging.INFO]


def test_one_that_cannot_be_used_is_said_once(
    files: Files, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    before = shown(certificate)
    files.renew()
    files.put_chain()
    look(certificate, 5)
    certificate.reload()
    assert shown(certificate) == before
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    files.put_key()
    look(certificate, 2)
    assert shown(certificate) != before


def test_when_told_to_it_is_read_at_once(files: Files, certificate: Certificate) -> None:
    before = shown(certificate)
    files.renew()
    files.put_chain()
    files.put_key()
    certificate.reload()
    assert shown(certificate) != before


def test_one_that_cannot_be_used_from_the_start(files: Files) -> None:
    check_certificate(files.settings)
    check_certificate(TlsSettings())
    files.key.unlink()
    with pytest.raises(StartError, match=r"cannot use the certificate .*live\.crt with key .*live\.key"):
        check_certificate(files.settings)
    with pytest.raises(StartError):
        Certificate(files.settings, explain)


def test_plain_http_is_turned_away(certificate: Certificate) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = certificate.wrap_bio(incoming, outgoing, server_side=True)
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
        incoming.write(data)
        with pytest.raises(ssl.SSLWantReadError):
            connection.do_handshake()
    assert outgoing.read() == HTTP
