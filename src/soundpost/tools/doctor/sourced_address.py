"""Addresses for applications and for browsers in variables, with the locations of these variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from soundpost.broadcasting.settings import AppUrl, parse_app_url
from soundpost.environment import plain_value
from soundpost.errors import ConfigurationError
from soundpost.tools.doctor.base_url import BaseUrl, parse_base_url
from soundpost.tools.doctor.dotenv import EnvFile, Value
from soundpost.tools.doctor.env_settings import EnvSettings
from soundpost.tools.doctor.hosts import is_unspecified
from soundpost.wire.addresses import AddressError, PublicUrl, parse_public_url

ENVIRONMENT = "environment"
"""Name of the environment in messages, where other variables have the name of a file."""


class SourcedAddress(NamedTuple):
    """Base URL, and the location of its setting, such as ``backend.env: SOUNDPOST_PORT``."""

    base_url: BaseUrl
    source: str


def variables_of(environ: Mapping[str, str]) -> EnvFile:
    """Return the environment in the form of a file. Addresses of Kubernetes services have no value."""
    values = {name: Value(plain_value(environ, name), f"{ENVIRONMENT}: {name}") for name in environ}
    return EnvFile(ENVIRONMENT, values)


def app_url_in(env: EnvSettings) -> AppUrl | None:
    """Return the parts of ``SOUNDPOST_URL``; None if it is not set, or is not such a URL."""
    try:
        return parse_app_url(text_of(env.named("SOUNDPOST_URL")))
    except AddressError:
        return None


def backend_in(env: EnvSettings) -> SourcedAddress | None:
    """Return the address to which variables let applications publish, completed as applications do it.

    None if no variable is set, or the values are not an address.
    """
    values = {name: env.backend(name) for name in ("HOST", "PORT", "SCHEME")}
    values["PATH"] = env.named("SOUNDPOST_PATH")
    url, value = app_url_in(env), env.named("SOUNDPOST_URL")
    if url is None and not any(values.values()):
        return None
    texts = {name: text_of(each) for name, each in values.items()}
    host = texts["HOST"] or (url.host if url else "127.0.0.1")
    scheme = texts["SCHEME"] or (url.scheme if url else "https" if texts["PORT"] == "443" else "http")
    port = texts["PORT"] or (str(url.port) if url else "443" if scheme == "https" else env.server_port)
    address = _checked(scheme, host, port, texts["PATH"] or (url.path if url else ""))
    locations = [value if url else None, values["HOST"], values["PORT"], values["SCHEME"]]
    return None if address is None else SourcedAddress(address, locations_of(locations))


def public_in(env: EnvSettings) -> SourcedAddress | None:
    """Return the address to which variables send browsers; None without a host."""
    url, value = public_url_in(env), env.public("URL")
    texts, locations = {}, [value if url else None]
    for name in ("HOST", "PORT", "SCHEME", "PATH"):
        part = env.public(name)
        if part is None and (url is None or getattr(url, name.lower()) is None) and name != "PATH":
            part = env.frontend(name)
        texts[name] = text_of(part) or str((url and getattr(url, name.lower())) or "")
        locations.append(part)
    host, port, scheme = texts["HOST"], texts["PORT"], texts["SCHEME"]
    if not host or is_unspecified(host) or "/" in host:
        return None
    if scheme not in ("http", "https"):
        scheme = "https" if port in ("443", "") or env.frontend("HOST") else "http"
    address = _checked(scheme, host, port, texts["PATH"])
    return None if address is None else SourcedAddress(address, locations_of(locations))


def page_in(env: EnvSettings) -> str | None:
    """Return the origin of a Laravel application's pages."""
    page = urlsplit(text_of(env.named("APP_URL")))
    return f"{page.scheme}://{page.netloc}" if page.scheme in ("http", "https") and page.netloc else None


def text_of(value: Value | None) -> str:
    """Return the text of a variable; empty for an unset one."""
    return value.text.strip() if value is not None else ""


def locations_of(values: Iterable[Value | None]) -> str:
    """Return the locations of values in one text, each file once: ``.env: SOUNDPOST_HOST, SOUNDPOST_PORT``."""
    names: dict[str, list[str]] = {}
    for value in values:
        if value is not None:
            file, _, name = value.location.rpartition(": ")
            names.setdefault(file, []).append(name)
    return " and ".join(f"{file}: {', '.join(found)}" for file, found in names.items())


def public_url_in(env: EnvSettings) -> PublicUrl | None:
    """Return the parts of ``SOUNDPOST_PUBLIC_URL``; None if it is not set, or is not such a URL."""
    text = text_of(env.public("URL"))
    try:
        return parse_public_url(text) if text else None
    except AddressError:
        return None


def _checked(scheme: str, host: str, port: str, path: str) -> BaseUrl | None:
    shown = f"[{host}]" if ":" in host else host
    if "/" in host:
        return None
    try:
        return parse_base_url(f"{scheme}://{shown}{f':{port}' if port else ''}/{path.strip('/')}")
    except (ConfigurationError, ValueError):
        return None  # the check of the files names the fault
