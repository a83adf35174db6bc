"""Faults on the way to the server, set up for real: each is named rightly."""

from __future__ import annotations

import socket
import ssl
import time
from email.utils import formatdate

import pytest

from soundpost.tools.doctor import CheckPlan
from soundpost.tools.doctor.base_url import parse_base_url
from support.doctor_stage import (
    Scene,
    Stage,
    assert_named,
    both,
    codes,
    examined,
    place,
    plan,
    scene,
    scenes_of,
    silent,
    trusted_stage,
)

__all__ = ["trusted_stage"]


def ssh(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    silent(sock)


def hang_up(sock: socket.socket) -> None:
    sock.recv(1)


@scene("mixed-content", "a page of https://shop.example.com that is to connect to http://ws.example.com:8080")
def _(on: Stage) -> CheckPlan:
    return plan(parse_base_url("http://ws.example.com:8080"), origin="https://shop.example.com")


@scene("dns-unknown", "a name that does not exist")
def _(on: Stage) -> CheckPlan:
    return plan(parse_base_url("https://ws.nowhere.invalid"))


@scene("tcp-refused", "a port on which nobody listens")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.closed_port()))


@scene("tcp-timeout", "a port whose packets are dropped")
def _(on: Stage) -> CheckPlan:
    on.await_no_event()
    return plan(place(on.dropping_port()))


@scene("internal-port-in-browser", "browsers are given a closed port, Nginx serves TLS on another")
def _(on: Stage) -> CheckPlan:
    served = on.proxy(tls=on.certificate())
    return plan(place(on.closed_port(), "https"), public_ports=(served,))


@scene("internal-port-in-browser", "browsers are given the daemon's own port with https, Nginx serves TLS on another")
def _(on: Stage) -> CheckPlan:
    served = on.proxy(tls=on.certificate())
    return plan(place(on.server.port, "https"), public_ports=(served,))


@scene("port-speaks-http", "https to an Nginx that listens without ssl")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(), "https"))


@scene("port-speaks-tls", "http to an Nginx that listens with ssl (its 400)")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(tls=on.certificate())))


@scene("port-speaks-tls", "http to a server with a certificate of its own")
def _(on: Stage) -> CheckPlan:
    files = on.certificate()
    return plan(place(on.start(tls={"certificate": str(files.chain), "key": str(files.key)}).port))


@scene("port-not-http", "http to an SSH server")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.raw(ssh)))


@scene("port-not-http", "https to an SSH server")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.raw(ssh), "https"))


@scene("tls-timeout", "https to a program that accepts and says nothing")
def _(on: Stage) -> CheckPlan:
    on.await_no_event()
    return plan(place(on.raw(silent), "https"))


@scene("tls-name-unknown", "an Nginx that knows no site of this name (ssl_reject_handshake)")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("ssl_reject_handshake on;", listen=" ssl"), "https"))


@scene("tls-too-old", "an Nginx with ssl_protocols TLSv1.1")
def _(on: Stage) -> CheckPlan:
    old = "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"
    return plan(place(on.nginx(old, tls=on.certificate()), "https"))


@scene("tls-handshake-failed", "a server that closes the connection at the handshake")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.raw(hang_up), "https"))


@scene("http2-only", "a server that offers h2 alone")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.h2_only(on.certificate()), "https"))


@scene("http2-only", "an Nginx that listens for HTTP/2 without TLS")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("return 200;", listen=" http2")))


@scene("certificate-expired", "an Nginx whose certificate ended yesterday")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(tls=on.authority.certificate("localhost", days=(-90, -1))), "https"))


@scene("certificate-not-yet-valid", "an Nginx whose certificate begins tomorrow")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(tls=on.authority.certificate("localhost", days=(1, 90))), "https"))


@scene("certificate-name-mismatch", "an Nginx with the certificate of another name")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(tls=on.authority.certificate("www.example.com", "example.com")), "https"))


@scene("certificate-self-signed", "an Nginx with a self-signed certificate")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(tls=on.authority.self_signed()), "https"))


@scene("certificate-untrusted", "an Nginx with a certificate of an authority nobody knows")
def _(on: Stage) -> CheckPlan:
    from support.certificates import Authority

    return plan(place(on.proxy(tls=Authority(on.folder, "Somebody").certificate("localhost")), "https"))


@scene("certificate-chain-incomplete", "an Nginx with cert.pem in place of fullchain.pem")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(tls=on.authority.certificate("localhost", whole=False, public=True)), "https"))


@scene("certificate-expires-soon", "an Nginx whose certificate ends in five days")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.proxy(tls=on.authority.certificate("localhost", days=(-85, 5))), "https"))


@scene("http-timeout", "a program that takes requests and does not answer")
def _(on: Stage) -> CheckPlan:
    on.await_no_answer()
    return plan(place(on.raw(silent)))


@scene("http-connection-closed", "an Nginx with 'return 444'")
def _(on: Stage) -> CheckPlan:
    return plan(place(on.nginx("return 444;")))


@scenes_of(__name__)
def test_a_fault_is_named(on: Stage, set_up: Scene) -> None:
    assert_named(examined(set_up.build(on)), set_up.code)


def test_a_fault_ends_the_walk_with_what_was_found_before(on: Stage) -> None:
    steps = examined(plan(place(on.proxy(tls=on.authority.self_signed()), "https"))).steps
    assert [(step.name, step.status) for step in steps if step.check == "browser"] == [
        ("DNS", "ok"),
        ("TCP", "ok"),
        ("TLS", "fault"),
    ]


def test_facts_are_in_the_message(on: Stage) -> None:
    port = on.proxy(tls=on.authority.certificate("www.example.com", "example.com"))
    (step,) = examined(plan(place(port, "https"))).faults
    assert step.message == "the certificate is not for localhost, but for www.example.com, example.com"
    assert step.fix is not None
    assert "certbot certonly --webroot -w /var/www/html -d localhost" in step.fix


def test_an_untrusted_certificate_can_be_looked_past(on: Stage) -> None:
    port = on.proxy(tls=on.authority.self_signed())
    assert not examined(plan(place(port, "https"), verify=False)).faults


def test_trust_is_the_system_s(on: Stage) -> None:
    assert ssl.get_default_verify_paths().openssl_cafile_env == "SSL_CERT_FILE"


def renewed(on: Stage, days: int) -> CheckPlan:
    """An Nginx with a certificate that ends in so many days, while certbot's file has a new one, without a hook."""
    old = on.authority.certificate("localhost", days=(-80, days))
    live = on.file("letsencrypt/live/localhost/fullchain.pem", on.certificate().chain.read_text())
    on.file("letsencrypt/renewal/localhost.conf", "[renewalparams]\nauthenticator = webroot\n")
    on.file("nginx/conf.d/soundpost.conf", f"server {{ server_name localhost; ssl_certificate {live}; }}")
    public = place(on.proxy(tls=old), "https")
    return both(public, nginx=on.folder / "nginx", letsencrypt=on.folder / "letsencrypt")


@pytest.mark.parametrize(("days", "code"), [(-1, "certificate-expired"), (5, "certificate-expires-soon")])
def test_a_renewed_certificate_that_nginx_has_not_read(on: Stage, days: int, code: str) -> None:
    examination = examined(renewed(on, days))
    found = [step for step in examination.steps if step.code == code]
    assert found[0].fix is not None
    assert found[0].fix.startswith("'systemctl reload nginx': ")
    assert f"{on.folder}/letsencrypt/live/localhost/fullchain.pem on this machine has a newer" in found[0].fix
    assert "--deploy-hook 'systemctl reload nginx'" in found[0].fix


def test_a_warning_about_one_certificate_is_given_once(on: Stage) -> None:
    public = place(on.proxy(tls=on.authority.certificate("localhost", days=(-80, 5))), "https")
    examination = examined(both(public))
    assert codes(examination) == ["certificate-expires-soon"]


def test_a_clock_that_is_days_ahead_lets_a_certificate_seem_expired(on: Stage) -> None:
    """The certificate ended yesterday by this machine's clock; by the server's clock it is five days ago."""
    files = on.authority.certificate("localhost", days=(-80, -1))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.chain, files.key)
    date = formatdate(time.time() - 5 * 86_400, usegmt=True)

    def serve(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(65_536)
            tls.sendall(f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}".encode())

    examination = examined(both(place(on.raw(serve), "https")))
    assert [(step.code, step.follows_from) for step in examination.steps if step.code] == [
        ("clock-skew", None),
        ("certificate-expired", "clock-skew"),
    ]
    (step,) = examination.faults
    assert step.message.startswith("the certificate of localhost seems expired: this machine's clock is ahead of")
