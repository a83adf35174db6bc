"""Check of the origin of an auth request, in place of a CSRF token."""

from __future__ import annotations

import pytest

from soundpost.broadcasting.authorization.origin import cross_site_fault


def fault(
    origin: str | None = None,
    fetch_site: str | None = None,
    host: str = "example.com",
    authorization: str | None = None,
    trusted: tuple[str, ...] = (),
) -> str | None:
    return cross_site_fault(
        origin=origin, fetch_site=fetch_site, host=host, authorization=authorization, trusted=trusted
    )


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("http://example.com", "example.com:80"),
        ("http://EXAMPLE.com", "Example.COM"),
        ("http://localhost:8000", "localhost:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_pages_of_this_site(origin: str, host: str) -> None:
    assert fault(origin, host=host) is None
    assert fault(origin, "same-site", host=host) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "example.com"),
        ("https://example.com.evil.example", "example.com"),
        ("https://evil-example.com", "example.com"),
        ("https://sub.example.com", "example.com"),
        ("http://localhost:3000", "localhost:8000"),
        ("https://example.com:8443", "example.com"),
        ("null", "example.com"),
        ("null", ""),
        ("", "example.com"),
        ("https://example.com@evil.example", "example.com"),
        ("http://[::1", "example.com"),
    ],
)
def test_pages_of_others(origin: str, host: str) -> None:
    message = fault(origin, "cross-site", host)
    assert message is not None
    assert "neither this site" in message
    assert fault(origin, host=host) is not None


def test_browsers_say_by_themselves_that_it_is_the_same_site() -> None:
    assert fault("http://inside:8000", "same-origin", "behind-a-proxy") is None
    assert fault(None, "none") is None
    assert fault(None, "same-origin") is None


def test_a_page_of_another_site_that_hides_its_origin() -> None:
    for site in ("cross-site", "same-site"):
        assert fault(None, site) == f"a page of another site asks (Sec-Fetch-Site: {site})"


def test_what_is_no_browser_is_welcome() -> None:
    assert fault() is None


def test_whoever_sends_a_token_needs_no_cookie() -> None:
    assert fault("https://evil.example", "cross-site", authorization="Bearer x") is None


@pytest.mark.parametrize(
    ("origin", "pattern", "is_trusted"),
    [
        ("https://app.example.org", "https://app.example.org", True),
        ("https://app.example.org", "https://app.example.org/", True),
        ("https://APP.example.org", "https://App.Example.org", True),
        ("https://app.example.org", "app.example.org", True),
        ("https://app.example.org", "https://*.example.org", True),
        ("https://app.example.org:8443", "https://*.example.org", False),
        ("http://app.example.org", "https://app.example.org", False),
        ("https://example.org", "https://*.example.org", False),
        ("https://example.org.evil", "https://example.org", False),
        ("https://app.example.org", "*", True),
    ],
)
def test_only_trusted_origins_may_ask_across_sites(origin: str, pattern: str, is_trusted: bool) -> None:
    assert (fault(origin, "cross-site", trusted=("https://other", pattern)) is None) is is_trusted
