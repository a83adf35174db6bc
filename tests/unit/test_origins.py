"""Origins of pages: the forms that let them in, alike for the server's apps and for an application's auth endpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundpost.broadcasting.authorization.origin import cross_site_fault
from soundpost.broadcasting.settings import BroadcastSettings, settings_from, settings_from_environment
from soundpost.core.app_settings import AppSettings
from soundpost.errors import ConfigurationError
from soundpost.wire.origins import OriginError, check_origins, origins
from support.configuration import APP_TABLE, Directory

Matcher = Callable[[str, str], bool]
"""Tell whether a form allows an origin."""


def _app(form: str, origin: str) -> bool:
    return AppSettings(id="1", key="k", secret="s", allowed_origins=(form,)).allows_origin(origin)


def _auth_endpoint(form: str, origin: str) -> bool:
    trusted = settings_from({"trusted_origins": [form]}).trusted_origins
    return (
        cross_site_fault(
            origin=origin, fetch_site="cross-site", host="other.example", authorization=None, trusted=trusted
        )
        is None
    )


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


PLACES = [pytest.param(_app, id="app"), pytest.param(_auth_endpoint, id="auth endpoint")]


@pytest.mark.parametrize("matches", PLACES)
@pytest.mark.parametrize(
    ("form", "origin"),
    [
        ("*", "https://example.com"),
        ("*", "null"),
        ("*", "nonsense"),
        ("example.com", "https://example.com"),
        ("example.com", "https://example.com:8443"),
        ("EXAMPLE.com", "https://example.COM"),
        ("example.com/", "http://example.com"),
        ("example.com:8443", "https://example.com:8443"),
        ("example.com:443", "https://example.com"),
        ("localhost", "http://localhost"),
        ("localhost", "http://localhost:5173"),
        ("localhost:5173", "http://localhost:5173"),
        ("*.example.com", "https://a.b.example.com"),
        ("app-*.example.com", "https://app-7.example.com"),
        ("*-team.vercel.app", "https://my-app-team.vercel.app"),
        ("https://example.com", "https://example.com:443"),
        ("https://example.com:443", "https://example.com"),
        ("https://example.com:*", "https://example.com:8443"),
        ("https://*.example.com:8443", "https://www.example.com:8443"),
        ("https://*", "https://example.org"),
        ("::1", "http://[::1]:5173"),
        ("[::1]", "http://[::1]"),
        ("[::1]:5173", "http://[::1]:5173"),
        ("http://[::1]:5173", "http://[::1]:5173"),
        ("http://[0:0::1]", "http://[::1]"),
        ("[2001:DB8::1]", "https://[2001:db8::1]:8443"),
        ("192.168.1.5", "http://192.168.1.5:3000"),
        ("xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ("file://", "file://"),
    ],
)
def test_a_form_matches_its_origins(matches: Matcher, form: str, origin: str) -> None:
    assert matches(form, origin)


@pytest.mark.parametrize("matches", PLACES)
@pytest.mark.parametrize(
    ("form", "origin"),
    [
        ("example.com", "null"),
        ("example.com", ""),
        ("example.com", "example.com"),
        ("example.com", "https://www.example.com"),
        ("example.com", "https://example.com.evil.org"),
        ("example.com", "https://notexample.com"),
        ("example.com", "https://example.com@evil.org"),
        ("example.com", "https://evil.org/example.com"),
        ("example.com", "https://evil.org#example.com"),
        ("example.com", "https://evil.org?example.com"),
        ("example.com", "https://evil.org\\example.com"),
        ("example.com", "https://example.com/"),
        ("example.com", "https://example.com:"),
        ("example.com", "https://example.com:0"),
        ("example.com", "https://example.com:99999"),
        ("example.com", "https://evil.org, https://example.com"),
        ("example.com", "https://example.com https://evil.org"),
        ("example.com", "https://example.com."),
        ("example.com", "https://exаmple.com"),
        ("example.com:8443", "https://example.com"),
        ("*.example.com", "https://example.com"),
        ("*.example.com", "https://evilexample.com"),
        ("*.example.com", "https://evil.org/.example.com"),
        ("app-*.example.com", "https://app-7.evil.example.com"),
        ("app-*.example.com", "https://app-evil.org/.example.com"),
        ("https://example.com", "http://example.com"),
        ("https://example.com", "https://example.com:8443"),
        ("https://*", "http://example.org"),
        ("localhost", "http://127.0.0.1"),
        ("[::1]", "http://[::2]"),
        ("[::1]", "http://:"),
        ("[::1]", "http://1"),
        ("http://[::1]:5173", "http://[::1]:51730"),
        ("1.2.3.4", "http://1.2.3.40"),
        ("file://", "https://file"),
    ],
)
def test_a_form_matches_no_other_origin(matches: Matcher, form: str, origin: str) -> None:
    assert not matches(form, origin)


NEVER = [
    ("", "is empty"),
    (" ", "is empty"),
    ("null", "any site can make a page"),
    ("NULL", "any site can make a page"),
    ("https://", "names no host"),
    ("https://:443", "names no host"),
    ("://example.com", "no scheme before"),
    ("https://https://example.com", "no scheme before"),
    ("//example.com", "an origin has no path"),
    ("https:example.com", "is not a port"),
    ("example.com/path", "an origin has no path: end it after 'example.com'"),
    ("https://example.com/app/", "an origin has no path"),
    ("https://example.com?page", "an origin has no path"),
    ("https://example.com#page", "an origin has no path"),
    ("https://ann@example.com", "an origin has no user name"),
    ("https://ann:secret@example.com", "an origin has no user name"),
    ("wss://example.com", "write 'https://example.com'"),
    ("ws://localhost:3000", "write 'http://localhost:3000'"),
    (".example.com", "write '*.example.com' for subdomains"),
    ("example.com.", "ends with a dot"),
    ("example..com", "is not part of a host name"),
    ("-example.com", "is not part of a host name"),
    ("ex[ab]mple.com", "is not part of a host name"),
    ("'example.com'", "leave out the quotes"),
    ("example.com other.com", "white space"),
    (" example.com", "white space"),
    ("example.com\n", "white space"),
    ("example.com\x00", "control character"),
    ("a.com,b.com", "has several origins"),
    ('["example.com"]', "leave out the quotes"),
    ("example.*", "in the first label only"),
    ("www.*.com", "in the first label only"),
    ("*.*", "in the first label only"),
    ("**.example.com", "is not part of a host name"),
    ("*example.com", "anybody can register"),
    ("example*.com", "anybody can register"),
    ("10.0.0.*", "in the first label only"),
    ("*.0.0.1", "is not an IPv4 address"),
    ("127.1", "is not an IPv4 address"),
    ("127.0.0.01", "is not an IPv4 address"),
    ("[::1", "IPv6 address stands in brackets"),
    ("[::1]5173", "IPv6 address stands in brackets"),
    ("http://::1", "stands in brackets"),
    ("[fe80::1%eth0]", "is not an IPv6 address"),
    ("example.com:", "is not a port"),
    ("example.com:0", "is not a port"),
    ("example.com:65536", "is not a port"),
    ("example.com:80a80", "is not a port"),
    ("example.com:\uff18\uff10", "is not a port"),
    ("münchen.example", "send such a name as 'xn--mnchen-3ya.example'"),
    ("https://straße.example", "'xn--strae-oqa.example'"),
]


def _in_the_file(forms: list[str], directory: Directory) -> None:
    listed = ", ".join("".join(("'", form, "'")) if "'" not in form else f'"{form}"' for form in forms)
    directory.toml(APP_TABLE + f"allowed_origins = [{listed}]\n").load()


def _in_an_app(forms: list[str], _: Directory) -> None:
    AppSettings(id="1", key="k", secret="s", allowed_origins=tuple(forms))


def _in_an_embedded_server(forms: list[str], _: Directory) -> None:
    from soundpost.asgi import App as Server

    Server(apps=[{"id": "1", "key": "k", "secret": "s", "allowed_origins": forms}])


def _in_an_application(forms: list[str], _: Directory) -> None:
    settings_from({"trusted_origins": forms})


def _in_an_application_of_settings(forms: list[str], _: Directory) -> None:
    BroadcastSettings(trusted_origins=tuple(forms))


@pytest.mark.parametrize(
    ("configure", "form", "reason"),
    [
        (configure, form, reason)
        for configure in (
            _in_the_file,
            _in_an_app,
            _in_an_embedded_server,
            _in_an_application,
            _in_an_application_of_settings,
        )
        for form, reason in NEVER
        if configure is not _in_the_file or form.isprintable()  # TOML itself refuses others
    ],
)
def test_what_can_never_match_is_refused_with_the_way_out(
    directory: Directory, configure: Callable[[list[str], Directory], None], form: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure(["example.com", form], directory)
    assert reason in str(caught.value)
    assert "origins" in str(caught.value)


@pytest.mark.parametrize("name", ["SOUNDPOST_APP_ALLOWED_ORIGINS", "REVERB_ALLOWED_ORIGINS"])
@pytest.mark.parametrize("text", ["", " ", "''", "null", "(null)", "NULL", '"null"', "empty", "(empty)", ",", " , ,"])
def test_a_variable_that_says_nothing_does_not_let_everybody_in(directory: Directory, name: str, text: str) -> None:
    error = directory.toml(APP_TABLE).error({name: text})
    assert name in error or "allowed_origins is empty" in error
    assert "* for everybody" in error or "'*' for everybody" in error


@pytest.mark.parametrize("text", ["https://example.com/x", "null,example.com", '["example.com"]', "a.com;b.com"])
def test_variables_are_checked_too(directory: Directory, text: str) -> None:
    assert "SOUNDPOST_APP_ALLOWED_ORIGINS" in directory.toml(APP_TABLE).error({"SOUNDPOST_APP_ALLOWED_ORIGINS": text})
    with pytest.raises(ConfigurationError, match="trusted_origins"):
        settings_from_environment({"SOUNDPOST_TRUSTED_ORIGINS": text, "SOUNDPOST_BROADCAST_DRIVER": "null"})


def test_an_app_that_nobody_could_connect_to_is_refused(directory: Directory) -> None:
    error = directory.toml(APP_TABLE + "allowed_origins = []\n").error()
    assert "nobody could connect" in error
    app = directory.toml(APP_TABLE + "allowed_origins = []\nallow_missing_origin = true\n").load().settings.apps[0]
    assert app.allows_origin(None)
    assert not app.allows_origin("https://example.com")


@pytest.mark.parametrize("text", ["*", "*.example.com", "https://*.example.com", "example.com"])
def test_one_text_in_place_of_a_list_is_not_taken_letter_by_letter(text: str) -> None:
    with pytest.raises(ConfigurationError, match="where a list is meant"):
        AppSettings(id="1", key="k", secret="s", allowed_origins=text)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="where a list is meant"):
        BroadcastSettings(trusted_origins=text)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, 7, True, [None], [7], [["example.com"]], {"example.com": True}])
def test_other_values_are_no_origins(given: object) -> None:
    with pytest.raises(ConfigurationError, match="origins"):
        settings_from({"trusted_origins": given})


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_written_and_sent_nothing_breaks(form: str, origin: str) -> None:
    try:
        check_origins([form])
    except OriginError as error:
        assert repr(form) in str(error)  # noqa: PT017 - either way is right
    else:
        origins((form,)).match(origin)


@given(st.from_regex(r"(https?://)?[a-z]{1,8}(\.[a-z]{1,8}){0,2}(:[1-9][0-9]{0,3})?", fullmatch=True))
def test_a_form_without_wildcards_lets_in_what_it_says(form: str) -> None:
    origin = form if "://" in form else f"https://{form}"
    assert origins((form,)).match(origin)
    assert not origins((form,)).match(origin.replace("://", "://evil."))
    assert not origins((form,)).match(f"https://evil.example/{form}")
