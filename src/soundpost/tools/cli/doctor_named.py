"""Addresses and credentials that the doctor's caller names by options and files, which win over this folder's."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import typer

from soundpost.errors import ConfigurationError
from soundpost.tools.cli.doctor_options import DoctorOptions
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.dotenv import Value
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.sourced_address import SourcedAddress, app_url_in, backend_in, public_in

_NOTHING: Final = Value("", "")


class NamedSettings(NamedTuple):
    """Addresses and credentials from options and files; None or empty if not given."""

    public: SourcedAddress | None
    backend: SourcedAddress | None
    app_id: Value
    key: Value
    secret: Value


def named_settings(options: DoctorOptions, env: EnvSettings) -> NamedSettings:
    """Return the values of ``options`` and of the files in ``env``, in this order.

    Raises BadParameter for an option that is not an address.
    """
    public, key = _address_and_key(options)
    backend = None if options.backend_url is None else _base_url_of(options.backend_url, "--backend-url")
    app_id, secret = Value(options.app_id or "", "--app-id"), Value(options.secret or "", "--secret")
    sources = [{"app_id": app_id, "key": key, "secret": secret}]
    sources += _credentials_in(env)
    return NamedSettings(
        public or public_in(env),
        backend or backend_in(env),
        **{name: _first(name, sources) for name in ("app_id", "key", "secret")},
    )


def _credentials_in(env: EnvSettings) -> list[dict[str, Value]]:
    """Return the credentials in files: by themselves, then in ``SOUNDPOST_URL``, then a frontend's key."""
    url, value = app_url_in(env), env.named("SOUNDPOST_URL") or _NOTHING
    own = {"app_id": env.app("ID"), "key": env.app("KEY"), "secret": env.app("SECRET")}
    in_url = {} if url is None else {"app_id": url.app_id, "key": url.key, "secret": url.secret}
    return [
        {name: each for name, each in own.items() if each is not None},
        {name: Value(text, value.location) for name, text in in_url.items()},
        {"key": env.frontend("APP_KEY") or _NOTHING},
    ]


def _first(name: str, sources: list[dict[str, Value]]) -> Value:
    """Return the value of the first source that has one, without a location where none has."""
    given = (source[name] for source in sources if name in source)
    return next((each._replace(text=each.text.strip()) for each in given if each.text.strip()), _NOTHING)


def _address_and_key(options: DoctorOptions) -> tuple[SourcedAddress | None, Value]:
    """Return base URL and key of ``--url``, which may be a whole WebSocket URL from a browser's console."""
    given = Value(options.key or "", "--key")
    if options.url is None:
        return None, given
    address = _base_url_of(options.url, "--url")
    head, found, key = urlsplit(options.url).path.rpartition("/app/")
    if found and key:
        base_url: BaseUrl = address.base_url._replace(path=head.rstrip("/"))
        return SourcedAddress(base_url, "--url"), given if given.text else Value(unquote(key), "--url")
    return address, given


def _base_url_of(url: str, option: str) -> SourcedAddress:
    try:
        return SourcedAddress(parse_base_url(url), option)
    except ConfigurationError as error:
        raise typer.BadParameter(f"{option}: {error}") from None
