"""Client addresses behind proxies: believed headers, and headers that may be invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.wire.client_address import TrustedProxies, client_address, is_secure, normal_address, subnet_of

LOCAL = TrustedProxies(["127.0.0.1", "::1"])
PRIVATE = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
ALL = TrustedProxies(["*"])
NOBODY = TrustedProxies([])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:51034", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:51034", "2001:db8::7"),
        ('"[2001:db8::7]:51034"', "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113", None),
        ("203.0.113.7.8", None),
        ("203.0.113.256", None),
        ("203.0.113.7:", None),
        ("203.0.113.7:http", None),
        ("203.0.113.7:٣", None),
        ("[2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]x", None),
        ("2001:db8::7::1", None),
        ("example.com", None),
        ("127.1", None),
        ("0x7f000001", None),
        ("203.0.113.7\x00", None),
        ("1" * 1000, None),
    ],
)
def test_addresses_in_all_the_forms_proxies_write(text: str, address: str | None) -> None:
    assert normal_address(text) == address


@given(st.text(max_size=80))
def test_whatever_is_sent_is_an_address_or_none(text: str) -> None:
    address = normal_address(text)
    assert address is None or normal_address(address) == address


@pytest.mark.parametrize(
    ("trusted", "peer", "chain", "client"),
    [
        (LOCAL, "127.0.0.1", "203.0.113.7", "203.0.113.7"),
        (LOCAL, "::1", "2001:db8::7", "2001:db8::7"),
        (LOCAL, "", "203.0.113.7", "203.0.113.7"),  # by the Unix socket
        (LOCAL, "198.51.100.1", "203.0.113.7", "198.51.100.1"),  # no proxy of ours
        (LOCAL, "127.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),  # the client wrote the first one
        (LOCAL, "127.0.0.1", "127.0.0.1, 203.0.113.7", "203.0.113.7"),
        (LOCAL, "127.0.0.1", "203.0.113.7, 127.0.0.1", "203.0.113.7"),  # two proxies on this machine
        (PRIVATE, "127.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.1, 10.0.0.2", "203.0.113.7"),
        (PRIVATE, "10.1.2.3", "203.0.113.7:4711", "203.0.113.7"),
        (PRIVATE, "fd00::1", "[2001:db8::7]:4711", "2001:db8::7"),
        (PRIVATE, "127.0.0.1", "10.0.0.9", "10.0.0.9"),  # a client inside
        (PRIVATE, "127.0.0.1", "203.0.113.7, unknown", "127.0.0.1"),
        (PRIVATE, "127.0.0.1", "203.0.113.7, unknown, 10.0.0.1", "10.0.0.1"),
        (PRIVATE, "127.0.0.1", "203.0.113.7,,10.0.0.1", "10.0.0.1"),
        (PRIVATE, "127.0.0.1", "", "127.0.0.1"),
        (PRIVATE, "127.0.0.1", "\x00\xff", "127.0.0.1"),
        (ALL, "198.51.100.1", "203.0.113.7, 192.0.2.1", "203.0.113.7"),
        (NOBODY, "127.0.0.1", "203.0.113.7", "127.0.0.1"),
    ],
)
def test_the_nearest_address_that_is_no_trusted_proxy(
    trusted: TrustedProxies, peer: str, chain: str, client: str
) -> None:
    assert client_address(peer, {b"x-forwarded-for": chain.encode("latin-1")}, trusted) == client


def test_a_chain_that_is_endless_is_not_followed_to_its_end() -> None:
    chain = b"203.0.113.7, " + b"10.0.0.1, " * 1000 + b"10.0.0.2"
    assert client_address("127.0.0.1", {b"x-forwarded-for": chain}, PRIVATE) == "10.0.0.1"


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({}, "127.0.0.1"),
        ({b"x-real-ip": b"203.0.113.7"}, "203.0.113.7"),
        ({b"x-real-ip": b"nonsense"}, "127.0.0.1"),
        ({b"x-real-ip": b"203.0.113.7, 192.0.2.1"}, "127.0.0.1"),
        ({b"forwarded": b"for=203.0.113.7"}, "203.0.113.7"),
        ({b"forwarded": b'For="[2001:db8::7]:4711";proto=https;by=203.0.113.43'}, "2001:db8::7"),
        ({b"forwarded": b"for=1.1.1.1, proto=http; for=203.0.113.7"}, "203.0.113.7"),
        ({b"forwarded": b"for=203.0.113.7, for=unknown"}, "127.0.0.1"),
        ({b"forwarded": b"proto=https"}, "127.0.0.1"),
    ],
)
def test_each_header_in_its_turn(headers: dict[bytes, bytes], client: str) -> None:
    assert client_address("127.0.0.1", headers, LOCAL) == client


REAL = "203.0.113.7"
FORMS = {b"x-forwarded-for": "%s", b"x-real-ip": "%s", b"forwarded": "for=%s"}
"""Headers, and how each names an address."""


@pytest.mark.parametrize("theirs", FORMS)
@pytest.mark.parametrize("invented", FORMS)
@pytest.mark.parametrize(
    "lie",
    [
        "192.0.2.1",
        "127.0.0.1",
        "10.0.0.9",
        "nonsense",
        "",
        f"192.0.2.1, {REAL}",
        "192.0.2.1, 10.0.0.1",
        f"{REAL}, 10.0.0.1",
    ],
)
def test_no_client_chooses_its_address_by_a_header_that_its_proxy_does_not_set(
    theirs: bytes, invented: bytes, lie: str
) -> None:
    if theirs == invented:
        return
    separate = ", for=" if invented == b"forwarded" else ", "
    headers = {
        theirs: (FORMS[theirs] % REAL).encode(),
        invented: (FORMS[invented] % lie.replace(", ", separate)).encode(),
    }
    assert client_address("10.0.0.3", headers, PRIVATE) in (REAL, None)
    assert client_address("10.0.0.3", headers, PRIVATE, [theirs]) == REAL


@given(
    st.sampled_from(sorted(FORMS)),
    st.dictionaries(
        st.sampled_from(sorted(FORMS)),
        st.lists(
            st.sampled_from(
                ["192.0.2.1", REAL, "10.0.0.1", "127.0.0.1", "for=192.0.2.1", f"for={REAL}", "for=10.0.0.1", "x"]
            ),
            max_size=4,
        ),
    ),
)
def test_whatever_is_invented_the_answer_is_the_truth_or_none(theirs: bytes, invented: dict[bytes, list[str]]) -> None:
    headers = {name: ", ".join(hops).encode() for name, hops in invented.items()} | {
        theirs: (FORMS[theirs] % REAL).encode()
    }
    assert client_address("10.0.0.3", headers, PRIVATE) in (REAL, None)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        # Nginx writes its own peer into X-Real-IP, and appends it to the way so far.
        ({b"x-forwarded-for": b"192.0.2.1, 203.0.113.7", b"x-real-ip": b"203.0.113.7"}, REAL),
        ({b"x-forwarded-for": b"203.0.113.7, 10.0.0.1", b"x-real-ip": b"10.0.0.1"}, REAL),
        # The outer proxy wrote X-Real-IP, and the inner one handed it on.
        ({b"x-forwarded-for": b"203.0.113.7, 10.0.0.1", b"x-real-ip": b"203.0.113.7"}, REAL),
        ({b"x-forwarded-for": b"203.0.113.7", b"forwarded": b"for=203.0.113.7;proto=https"}, REAL),
        ({b"x-forwarded-for": b"203.0.113.7", b"x-real-ip": b"192.0.2.1"}, None),
        ({b"x-forwarded-for": b"203.0.113.7", b"x-real-ip": b""}, None),
        ({b"x-forwarded-for": b"nonsense", b"x-real-ip": b"nonsense"}, None),
        ({b"forwarded": b"for=192.0.2.1", b"x-real-ip": b"203.0.113.7"}, None),
    ],
)
def test_several_headers_count_if_they_agree(headers: dict[bytes, bytes], client: str | None) -> None:
    assert client_address("127.0.0.1", headers, PRIVATE) == client


def test_headers_that_do_not_count_say_nothing() -> None:
    headers = {b"x-forwarded-for": b"203.0.113.7", b"x-real-ip": b"192.0.2.1"}
    assert client_address("127.0.0.1", headers, LOCAL, [b"x-forwarded-for"]) == REAL
    assert client_address("127.0.0.1", headers, LOCAL, [b"x-real-ip"]) == "192.0.2.1"
    assert client_address("127.0.0.1", headers, LOCAL, [b"forwarded"]) == "127.0.0.1"
    assert client_address("127.0.0.1", headers, LOCAL, []) == "127.0.0.1"
    assert client_address("198.51.100.1", headers, LOCAL) == "198.51.100.1"


def test_the_scheme_is_what_a_trusted_proxy_says() -> None:
    https = {b"x-forwarded-proto": b"HTTPS"}
    assert is_secure("127.0.0.1", https, LOCAL) is True
    assert is_secure("127.0.0.1", {b"x-forwarded-proto": b"https, http"}, LOCAL) is False
    assert is_secure("127.0.0.1", {b"x-forwarded-proto": b"ftp"}, LOCAL) is None
    assert is_secure("127.0.0.1", {}, LOCAL) is None
    assert is_secure("198.51.100.1", https, LOCAL) is None


@pytest.mark.parametrize(
    ("proxies", "address", "trusted"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.1/8"], "10.2.0.1", True),  # a network with bits of an address in it, as people write them
        (["2001:db8::/32"], "2001:db8:1::1", True),
        (["2001:db8::/32"], "10.0.0.1", False),
        (["*"], "anything", True),
        ([], "", True),  # a Unix socket
        (["10.0.0.1"], "an unknown address", False),
    ],
)
def test_who_is_trusted(proxies: list[str], address: str, trusted: bool) -> None:
    assert TrustedProxies(proxies).trusts(address) is trusted


@pytest.mark.parametrize("wrong", ["example.com", "10.0.0.0/33", "10.0.0.1:80", "", "**"])
def test_what_is_no_address_is_no_trusted_proxy(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        TrustedProxies([wrong])


def test_ipv6_connections_are_counted_by_network() -> None:
    assert subnet_of("203.0.113.7") == "203.0.113.7"
    assert subnet_of("2001:db8:1:2:3:4:5:6") == subnet_of("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert subnet_of("2001:db8:1:3::1") != subnet_of("2001:db8:1:2::1")


@pytest.mark.parametrize("address", ["::ffff:203.0.113.7", "64:ff9b::203.0.113.7"])
def test_ipv4_connections_in_the_form_of_ipv6_are_counted_by_address(address: str) -> None:
    assert subnet_of(address) == "203.0.113.7"


@pytest.mark.parametrize(
    ("entry", "trusted", "foreign"),
    [
        ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("::ffff:10.0.0.1/104", "10.9.9.9", "11.0.0.1"),
    ],
)
def test_ipv4_proxies_may_have_the_form_of_ipv6(entry: str, trusted: str, foreign: str) -> None:
    proxies = TrustedProxies([entry])
    assert proxies.trusts(trusted)
    assert not proxies.trusts(foreign)
