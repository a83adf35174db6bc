"""URLs of endpoints, as their requests are written."""

from __future__ import annotations

import pytest

from soundpost.server.webhooks.endpoint_url import split_endpoint_url


@pytest.mark.parametrize(
    ("url", "host", "port", "header", "target"),
    [
        ("http://example.com", "example.com", 80, "example.com", "/"),
        ("https://example.com", "example.com", 443, "example.com", "/"),
        ("HTTPS://Example.COM:443/Hooks", "example.com", 443, "example.com", "/Hooks"),
        ("http://example.com:443/a?x=1&y=%20", "example.com", 443, "example.com:443", "/a?x=1&y=%20"),
        ("http://example.com?x=1", "example.com", 80, "example.com", "/?x=1"),
        ("http://a.test./%zz/%41/%#part", "a.test.", 80, "a.test.", "/%zz/%41/%"),
        ("http://xn--bcher-kva.test/", "xn--bcher-kva.test", 80, "xn--bcher-kva.test", "/"),
        ("http://[::1]:8000/a", "::1", 8000, "[::1]:8000", "/a"),
        ("http://[fe80::1%25eth0]/", "fe80::1%eth0", 80, "[fe80::1]", "/"),
        ('http://a.test/"<>`{}|^\\?"<>`{}', "a.test", 80, "a.test", "/%22%3C%3E%60%7B%7D|^\\?%22%3C%3E`{}"),
        ("http://a.test/a/../b/./c//d", "a.test", 80, "a.test", "/b/c//d"),
        ("http://a.test/../..", "a.test", 80, "a.test", "/"),
        ("http://a.test//a", "a.test", 80, "a.test", "//a"),
    ],
)
def test_a_url_is_split_for_its_requests(url: str, host: str, port: int, header: str, target: str) -> None:
    parts = split_endpoint_url(url)
    assert parts == (url[:5].lower() == "https", host, port, header, target, "")


@pytest.mark.parametrize(("user", "coded"), [("user:pa%40ss", "dXNlcjpwYUBzcw=="), ("user", "dXNlcjo=")])
def test_user_and_password_are_a_header(user: str, coded: str) -> None:
    parts = split_endpoint_url(f"http://{user}@a.test:81/x")
    assert parts.credentials == f"Basic {coded}"
    assert parts[1:5] == ("a.test", 81, "a.test:81", "/x")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://a.test/", "is expected"),
        ("/hooks", "is expected"),
        ("http:///hooks", "is expected"),
        ("http://a.test:99999/", "Port out of range"),
        ("http://b\u00fccher.test/", "write the name as xn--"),
    ],
)
def test_what_nobody_can_send_to_is_named(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        split_endpoint_url(url)
