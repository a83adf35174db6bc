"""``allowed_origins``: hosts with wildcards, or whole origins."""

from __future__ import annotations

import pytest

from soundpost.core.app_settings import AppSettings


def app(*origins: str, allow_missing: bool = False) -> AppSettings:
    return AppSettings(id="1", key="k", secret="s", allowed_origins=origins, allow_missing_origin=allow_missing)


@pytest.mark.parametrize("origin", [None, "null", "", "https://example.com", "nonsense", "http://[::1"])
def test_everybody_is_welcome_by_default(origin: str | None) -> None:
    assert AppSettings(id="1", key="k", secret="s").allows_origin(origin)
    assert app("example.com", "*").allows_origin(origin)


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("laravel.com", "http://laravel.com"),
        ("laravel.com", "https://laravel.com"),
        ("laravel.com", "https://laravel.com:8443"),
        ("laravel.com", "https://LARAVEL.com"),
        ("Laravel.COM", "https://laravel.com"),
        ("*.laravel.com", "https://sub.laravel.com"),
        ("*.laravel.com", "https://a.b.laravel.com"),
        ("localhost", "http://localhost:3000"),
        ("127.0.0.1", "http://127.0.0.1:5173"),
        ("::1", "http://[::1]:5173"),
        ("https://laravel.com", "https://laravel.com"),
        ("https://laravel.com/", "https://laravel.com"),
        ("https://laravel.com:8443", "https://laravel.com:8443"),
        ("https://*.laravel.com", "https://sub.laravel.com"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_that_a_pattern_matches_is_allowed(pattern: str, origin: str) -> None:
    assert app("other.org", pattern).allows_origin(origin)


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("laravel.com", "http://other.com"),
        ("laravel.com", "http://sub.laravel.com"),
        ("*.laravel.com", "http://laravel.com"),
        ("laravel.com", "http://laravel.com.evil.org"),
        ("laravel.com", "http://evil.org/laravel.com"),
        ("laravel.com", "http://laravel.com@evil.org"),
        ("*.laravel.com", "http://evil.org/.laravel.com"),
        ("laravel.com", "http://notlaravel.com"),
        ("laravel.com", "null"),
        ("laravel.com", ""),
        ("laravel.com", "laravel.com"),
        ("laravel.com", "http://[laravel.com"),
        ("https://laravel.com", "http://laravel.com"),
        ("https://laravel.com", "https://laravel.com:8443"),
        ("https://laravel.com:8443", "https://laravel.com"),
    ],
)
def test_an_origin_that_no_pattern_matches_is_refused(pattern: str, origin: str) -> None:
    assert not app("other.org", pattern).allows_origin(origin)


def test_no_origin_is_turned_away_unless_the_app_allows_it() -> None:
    assert not app("laravel.com").allows_origin(None)
    assert app("laravel.com", allow_missing=True).allows_origin(None)
    assert not app("laravel.com", allow_missing=True).allows_origin("http://other.com")


def test_no_patterns_let_nobody_in() -> None:
    assert not app().allows_origin("https://laravel.com")
