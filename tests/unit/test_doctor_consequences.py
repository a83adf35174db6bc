"""Consequences of faults: what follows from a fault, and what is a fault of its own."""

from __future__ import annotations

from typing import Final

import pytest

from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.consequences import EarlierFault, cause_of
from soundpost.tools.doctor.faults import FAULTS

INSIDE: Final = parse_base_url("http://127.0.0.1:8080")
PUBLIC: Final = parse_base_url("https://ws.example.com")


def cause(
    code: str, check: str, base_url: BaseUrl | None, found: str, at: BaseUrl | None = None, location: str = ""
) -> str | None:
    return cause_of(code, check, base_url, [EarlierFault(found, found, at, location)])


FOLLOWS: Final = [
    ("tcp-refused", "backend", INSIDE, "server-not-running", INSIDE),
    ("bad-gateway", "browser", PUBLIC, "server-not-running", INSIDE),
    ("answered-by-web-page", "browser", PUBLIC, "port-in-use", INSIDE),
    ("not-pusher-protocol", "browser", INSIDE, "port-in-use", INSIDE),
    ("certificate-expired", "backend", PUBLIC, "certificate-expired", PUBLIC),
    ("dns-unknown", "backend", parse_base_url("https://ws.example.com:8443"), "dns-unknown", PUBLIC),
    ("app-disabled", "backend", INSIDE, "app-disabled", PUBLIC),
    ("api-not-forwarded", "backend", PUBLIC, "path-not-forwarded", PUBLIC),
    ("api-redirected", "backend", PUBLIC, "redirected", PUBLIC),
    ("nodes-not-clustered", "delivery", None, "redis-unreachable", INSIDE),
    ("delivered-locally", "delivery", None, "redis-login-failed", INSIDE),
    ("app-id-unknown", "backend", INSIDE, "app-key-unknown", PUBLIC),
    ("app-secret-wrong", "backend", INSIDE, "env-quotes", None),
    ("port-speaks-http", "backend", INSIDE, "env-backend-https-internal-port", None),
    ("port-speaks-http", "browser", INSIDE, "env-frontend-no-scheme", None),
]
OWN: Final = [
    ("dns-unknown", "browser", PUBLIC, "server-not-running", INSIDE),
    ("certificate-expired", "browser", PUBLIC, "server-not-running", INSIDE),
    ("tcp-refused", "browser", PUBLIC, "server-not-running", INSIDE),
    ("answered-by-web-page", "browser", PUBLIC, "server-not-running", INSIDE),
    ("upgrade-header-lost", "browser", PUBLIC, "port-in-use", INSIDE),
    ("tcp-refused", "backend", INSIDE, "tcp-refused", PUBLIC),
    ("app-secret-wrong", "backend", INSIDE, "origin-refused", PUBLIC),
    ("api-not-forwarded", "backend", INSIDE, "path-not-forwarded", PUBLIC),
    ("port-speaks-http", "browser", INSIDE, "env-backend-https-internal-port", None),
    ("port-speaks-http", "backend", INSIDE, "env-frontend-no-scheme", None),
    ("dns-unknown", "browser", PUBLIC, "env-frontend-key-differs", None),
    ("redis-unreachable", "machine", INSIDE, "server-not-running", None),
]


@pytest.mark.parametrize(("code", "check", "base_url", "found", "at"), FOLLOWS)
def test_a_fault_follows_from_an_earlier_one(
    code: str, check: str, base_url: BaseUrl | None, found: str, at: BaseUrl | None
) -> None:
    assert {code, found} <= set(FAULTS)
    assert cause(code, check, base_url, found, at) == found


@pytest.mark.parametrize(("code", "check", "base_url", "found", "at"), OWN)
def test_what_is_a_fault_of_its_own(
    code: str, check: str, base_url: BaseUrl | None, found: str, at: BaseUrl | None
) -> None:
    assert {code, found} <= set(FAULTS)
    assert cause(code, check, base_url, found, at) is None


@pytest.mark.parametrize(
    ("location", "check"),
    [
        (".env: REVERB_SCHEME", "backend"),
        (".env: VITE_REVERB_SCHEME", "browser"),
        ("SOUNDPOST_PUBLIC_SCHEME", "browser"),
    ],
)
def test_scheme_and_port_lead_those_astray_who_read_them(location: str, check: str) -> None:
    for each in ("browser", "backend"):
        found = cause("port-speaks-tls", each, PUBLIC, "env-scheme-port-mismatch", None, location)
        assert (found is not None) == (each == check)


def test_the_first_cause_is_told_of_a_chain() -> None:
    earlier = [
        EarlierFault("server-not-running", "server-not-running", INSIDE, ""),
        EarlierFault("bad-gateway", "server-not-running", PUBLIC, ""),
    ]
    assert cause_of("bad-gateway", "backend", PUBLIC, earlier) == "server-not-running"
