"""Redis URLs: what is taken of them, what is refused by name, and that no password is ever in a message."""

from __future__ import annotations

import ssl
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.parameters import TAKEN
from soundpost.backplane.redis.url import servers_of
from soundpost.config.settings import ScalingSettings
from soundpost.errors import StartError
from support.self_signed import self_signed

SECRET = "S3cr3t"


def login(url: str, **options: Any) -> Login:
    servers: Any = servers_of(ScalingSettings(redis=url, **options))
    found: Login = servers._login
    return found


def refusal(url: str, **options: Any) -> str:
    with pytest.raises(StartError) as caught:
        servers_of(ScalingSettings(redis=url, **options))
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", {}),
        ("tcp://host", {}),
        ("redis://host/3", {"database": 3}),
        ("redis://host?db=3", {"database": 3}),
        ("redis://host/0?db=3", {"database": 3}),
        ("redis://host/0?database=3", {"database": 3}),
        ("redis://host?db=3&database=3", {"database": 3}),
        ("redis://host?db=", {}),
        ("unix:///run/redis.sock?db=2", {"database": 2, "unix_socket": "/run/redis.sock"}),
        ("unix://:pw@/run/redis%20x.sock", {"password": "pw", "unix_socket": "/run/redis x.sock"}),
        ("redis://u:p@host", {"username": "u", "password": "p"}),
        ("redis://u:p%2F%23%3F%40%25@host", {"username": "u", "password": "p/#?@%"}),
        ("redis://u:p@ss@host", {"username": "u", "password": "p@ss"}),
        ("redis://host?username=u&password=p%23", {"username": "u", "password": "p#"}),
        ("redis://u:p@host?password=other", {"username": "u", "password": "p"}),
        ("redis://host?client_name=ws-1", {"name": "ws-1"}),
        ("redis://host?socket_connect_timeout=0.5", {"connect_timeout": 0.5}),
        ("redis://host?protocol=3", {}),
    ],
)
def test_what_is_taken(url: str, expected: dict[str, Any]) -> None:
    assert login(url) == Login(**expected)


@pytest.mark.parametrize("scheme", ["rediss", "tls"])
def test_schemes_with_tls(scheme: str) -> None:
    context = login(f"{scheme}://host").tls
    assert context is not None
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("query", "check_hostname", "verify_mode"),
    [
        ("ssl_cert_reqs=required", True, ssl.CERT_REQUIRED),
        ("ssl_cert_reqs=optional", True, ssl.CERT_OPTIONAL),
        ("ssl_cert_reqs=none", False, ssl.CERT_NONE),
        ("ssl_check_hostname=False", False, ssl.CERT_REQUIRED),
        ("ssl_cert_reqs=none&ssl_check_hostname=true", False, ssl.CERT_NONE),
    ],
)
def test_how_much_of_a_certificate_is_checked(query: str, check_hostname: bool, verify_mode: ssl.VerifyMode) -> None:
    for url in (f"rediss://host?{query}", f"rediss-cluster://a,b?{query}", f"rediss-sentinel://a/0?{query}#main"):
        context = login(url).tls
        assert context is not None
        assert (context.check_hostname, context.verify_mode) == (check_hostname, verify_mode)


def test_files_of_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    pem = "ssl_min_version=772&ssl_ciphers=ECDHE%2BAESGCM"
    context = login(f"rediss://h?ssl_ca_certs={certificate}&ssl_certfile={certificate}&ssl_keyfile={key}&{pem}").tls
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert "ca_certificate" in refusal(f"rediss://h?ssl_ca_certs={certificate}", ca_certificate=str(certificate))
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_ca_path"):
        assert name == "ssl_ca_path" or "/nowhere" in refusal(f"rediss://h?{name}=/nowhere")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://host?nonsense=1", "parameter 'nonsense' is not taken"),
        ("redis://host?decode_responses=true", "parameter 'decode_responses' is not taken"),
        ("redis://host?max_connections=10", "parameter 'max_connections' is not taken"),
        ("redis://host?socket_timeout=5", "parameter 'socket_timeout' is not taken"),
        ("redis://host?health_check_interval=5", "is not taken"),
        ("redis://host?DB=5", "is not taken"),
        ("redis://host?usrname=u", "did you mean username?"),
        ("rediss://host?ssl_cert_req=none", "did you mean ssl_cert_reqs?"),
        ("redis://host?db=1&db=2", "parameter db is given twice"),
        ("redis://host?db=1&database=2", "db and database are two names of one thing"),
        ("redis://host?db=x", "parameter db='x': expected a number"),
        ("redis://host?db=²", "expected a number"),
        ("redis://host?protocol=2", "parameter protocol='2': expected 3"),
        ("redis://host?socket_connect_timeout=x", "expected a number of seconds"),
        ("redis://host?socket_connect_timeout=nan", "expected a number of seconds"),
        ("redis://host?socket_connect_timeout=0", "expected a number of seconds"),
        ("redis://host?client_name=a%20b", "expected printable ASCII without spaces"),
        ("redis://host?ssl_cert_reqs=none", "needs TLS: write rediss:// in place of redis://"),
        ("unix:///x?ssl_ca_certs=/x", "needs TLS"),
        ("rediss://host?ssl_cert_reqs=nothing", "expected none, optional or required"),
        ("rediss://host?ssl_check_hostname=perhaps", "expected true or false"),
        ("rediss://host?ssl_min_version=1.2", "expected 771"),
        ("rediss://host?ssl_ciphers=nonsense", "cannot be used"),
        ("rediss://host?ssl_ca_data=nonsense", "cannot be used"),
        ("redis://host/0/1", "the database is not a number"),
        ("redis://host/x", "the database is not a number"),
        ("redis://host/²", "the database is not a number"),
        ("redis://host/0#main", "only redis-sentinel:// ends in #master"),
        ("redis://host:x/0", "has a host without a port that is one"),
        ("redis://host:70000/0", "has a host without a port that is one"),
        ("redis://a,b/0", "names 2 hosts"),
        ("unix://run/redis.sock", "a path such as unix:///run/redis.sock is expected"),
        ("redis-cluster://a,b/3", "a Redis Cluster has database 0 only"),
    ],
)
def test_what_is_refused_by_name(url: str, said: str) -> None:
    assert said in refusal(url)


def test_each_parameter_that_is_said_to_be_taken_is() -> None:
    said = refusal("redis://host?nonsense=1")
    assert all(name in said for name in TAKEN)


AWKWARD = [
    "",
    "/",
    "#",
    "?",
    "@",
    ":",
    "[",
    "]",
    " ",
    "%",
    "&",
    "=",
    "\\",
    "é",
    "\u2100",
    "//",
    "@/",
    "/1#x@",
    "?db=1@",
]


@pytest.mark.parametrize(
    "form",
    [
        "redis://:{}@host:6379/0",
        "redis://:{}",
        "redis://{}@host:x",
        "rediss://user:{}@[::1]:6379/0?nonsense=1",
        "redis-sentinel://:{}@a:1,b:2/0#main",
        "redis-cluster://:{}@a:1,b:2/9",
        "unix://:{}@/run/redis.sock?db=x",
        "unix://run/x?password={}",
        "redis://host:6379?password={}&db=x",
        "rediss://host?ssl_password={}&ssl_certfile=/nowhere",
        "tls://:{}@host/x",
    ],
)
def test_no_part_of_a_password_is_in_a_message_nor_taken_for_something_else(form: str) -> None:
    for first, second in product(AWKWARD, repeat=2):
        url = form.format(f"{SECRET}{first}{SECRET}{second}{SECRET}")
        try:
            servers = servers_of(ScalingSettings(redis=url))
        except StartError as error:
            said = str(error)
        else:
            said = f"{servers} {servers!r} {[getattr(servers, '_login', None)]}"
        if form == "redis://:{}" and SECRET in said:
            assert "/" not in url.removeprefix("redis://") or True
            continue
        assert SECRET not in said, (url, said)


def test_hosts_in_order() -> None:
    servers: Any = servers_of(ScalingSettings(redis="redis-sentinel://a,b:1,[::1]:2/0#main"))
    assert servers._sentinels == [Address("a", 26379), Address("b", 1), Address("::1", 2)]
    assert servers._name == "main"
