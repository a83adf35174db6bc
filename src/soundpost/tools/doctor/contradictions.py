"""Contradictions in ``.env`` files: one function for each kind, listed in ``_CHECKS``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from soundpost.environment.placeholders import is_placeholder, is_secret_placeholder
from soundpost.tools.doctor.dotenv import EnvFile, Value
from soundpost.tools.doctor.env_settings import BUILT_IN, FRONTENDS, EnvSettings
from soundpost.tools.doctor.findings import FaultFound
from soundpost.tools.doctor.hosts import is_loopback, is_unspecified
from soundpost.tools.doctor.sourced_address import SourcedAddress, app_url_in, public_url_in

EnvCheck = Callable[[EnvSettings, SourcedAddress | None], Iterator[FaultFound]]
_OFF: Final = {"log": "written to the log", "null": "thrown away", "memory": "kept in memory"}
_HOSTS: Final = ("SOUNDPOST_HOST", "REVERB_HOST", "SOUNDPOST_PUBLIC_HOST", *(f"{each}HOST" for each in FRONTENDS))
_GROUPS: Final = (("SOUNDPOST_",), ("REVERB_",), ("SOUNDPOST_PUBLIC_",), *((each,) for each in FRONTENDS))
_LISTENING: Final = ("SOUNDPOST_SERVER_", "REVERB_SERVER_")


def contradictions(files: tuple[EnvFile, ...], public: SourcedAddress | None) -> list[FaultFound]:
    """Return all faults of these files together; ``public`` is the address stated for browsers elsewhere, if any."""
    env = EnvSettings(tuple(file for file in files if not file.source))
    found = [mistake for file in files for mistake in file.mistakes]
    found += [fault for check in _CHECKS for fault in check(env, public)]
    return found + [fault for file in files if file.source for fault in _in_source(file)]


def _leaks(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    secrets = {value.text for value in env.all_named("SOUNDPOST_APP_SECRET", "REVERB_APP_SECRET", "PUSHER_APP_SECRET")}
    for name, value in env.every():
        is_ours = re.search(r"(REVERB|SOUNDPOST|PUSHER)\w*SECRET", name) is not None
        if name.startswith(BUILT_IN) and value.text and (value.text in secrets or is_ours):
            yield FaultFound("env-secret-in-frontend", location=value.location)


def _placeholders(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    for value in env.all_named("SOUNDPOST_APP_SECRET", "REVERB_APP_SECRET", "PUSHER_APP_SECRET"):
        if is_secret_placeholder(value.text):
            yield FaultFound("secret-not-filled-in", location=value.location)
        elif is_placeholder(value.text):
            yield FaultFound("placeholder-secret", location=value.location)
    url, url_value = app_url_in(env), env.named("SOUNDPOST_URL")
    if url is not None and url_value is not None and is_placeholder(url.secret):
        yield FaultFound("placeholder-secret", location=url_value.location)


def _shapes(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    """Yield hosts, ports and schemes that are invalid."""
    for value in env.all_named(*_HOSTS):
        host = value.text.strip()
        if is_unspecified(host):
            yield FaultFound("env-wildcard-host", location=value.location, host=host)
        elif "/" in host or re.fullmatch(r"[^:]+:\d+", host):
            name = urlsplit(host if "://" in host else f"//{host}").hostname or "ws.example.com"
            yield FaultFound("env-host-not-a-name", location=value.location, host=host, name=name)
    for prefix in ("SOUNDPOST_", "REVERB_", "SOUNDPOST_PUBLIC_", *FRONTENDS, *_LISTENING):
        for value in env.all_named(f"{prefix}PORT"):
            port = value.text.strip()
            if "://" not in port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                yield FaultFound("env-not-a-port", location=value.location, port=port)
        for value in env.all_named(f"{prefix}SCHEME"):
            if value.text.strip() not in ("http", "https"):
                yield FaultFound("env-not-a-scheme", location=value.location, scheme=value.text.strip())


def _credentials(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    given = {}
    for name in ("ID", "KEY", "SECRET"):
        first, *others = [*env.all_named(f"SOUNDPOST_APP_{name}", f"REVERB_APP_{name}"), None]
        given[name] = first
        for other in others:
            if first is not None and other is not None and other.text != first.text:
                yield FaultFound(
                    "env-credentials-differ", location=first.location, other=other.location, what=name.lower()
                )
    if given["ID"] is None and given["SECRET"] is None:
        return  # a frontend's file: it may have the key alone
    for name, value in given.items():
        is_in_a_file = env.named(f"SOUNDPOST_APP_{name}_FILE") is not None
        if value is None and not is_in_a_file:
            one = given["ID"] or given["SECRET"] or Value("", "")
            yield FaultFound("env-credentials-missing", location=one.location, missing=f"the app's {name.lower()}")


def _key(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    frontend, backend = env.frontend("APP_KEY"), env.app("KEY")
    if frontend and backend and frontend.text != backend.text:
        yield FaultFound(
            "env-frontend-key-differs",
            location=frontend.location,
            frontend=frontend.text,
            backend=backend.text,
            other=backend.location,
        )


def _empty(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    for name in ("APP_KEY", "HOST", "PORT"):
        value = env.present(*(prefix + name for prefix in FRONTENDS))
        if value is not None and not value.text.strip():
            hint = f": it refers to {value.unknown}, which is not set" if value.unknown else ""
            yield FaultFound("env-frontend-empty", location=value.location, hint=hint)


def _frontend_port(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    port = env.frontend("PORT")
    if port is None or env.server_has_tls or env.frontend_scheme != "https" or not _is_set_for_tls(env):
        return
    if port.text.strip() == env.server_port and env.server_port != "443":
        yield FaultFound("env-frontend-internal-port", location=port.location, port=env.server_port)


def _is_set_for_tls(env: EnvSettings) -> bool:
    """Return whether https was chosen. Laravel Echo's default is another fault, see ``_no_scheme``."""
    backend = env.backend("SCHEME")
    return env.frontend("SCHEME") is not None or backend is None or backend.text.strip() == "https"


def _no_scheme(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    scheme, port = env.backend("SCHEME"), env.frontend("PORT")
    if env.frontend("HOST") is None or env.present(*(f"{each}SCHEME" for each in FRONTENDS)) is not None:
        return
    if scheme is not None and scheme.text.strip() == "http" and (port is None or port.text.strip() != "443"):
        yield FaultFound("env-frontend-no-scheme", scheme="http", location=scheme.location)


def _frontend_host(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    host = env.frontend("HOST") or env.public("HOST")
    if host is not None and is_loopback(host.text) and _is_production(env, public):
        yield FaultFound("env-frontend-localhost", location=host.location, host=host.text.strip())


def _is_production(env: EnvSettings, public: SourcedAddress | None) -> bool:
    environment, page = env.named("APP_ENV", "DJANGO_ENV", "FLASK_ENV", "NODE_ENV"), env.named("APP_URL")
    if environment is not None:
        return environment.text.strip().lower() in ("production", "prod", "staging")
    page_host = urlsplit(page.text.strip()).hostname if page else None
    if page_host is not None:
        return not is_loopback(page_host) and not page_host.endswith((".test", ".local"))
    return public is not None and not is_loopback(public.base_url.host)


def _schemes_and_ports(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    for (prefix,) in _GROUPS:
        scheme, port = env.named(f"{prefix}SCHEME"), env.named(f"{prefix}PORT")
        if scheme and port and (scheme.text.strip(), port.text.strip()) in (("https", "80"), ("http", "443")):
            yield FaultFound(
                "env-scheme-port-mismatch",
                location=scheme.location,
                scheme=scheme.text.strip(),
                port=port.text.strip(),
                other=port.location,
            )


def _backend_scheme(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    scheme, port = env.backend("SCHEME"), env.backend("PORT")
    if scheme is None or port is None or env.server_has_tls or scheme.text.strip() != "https":
        return
    if port.text.strip() == env.server_port and port.text.strip() != "443":
        yield FaultFound("env-backend-https-internal-port", port=port.text.strip(), location=port.location)


def _mixed_ports(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    listening, port = env.named("SOUNDPOST_SERVER_PORT", "REVERB_SERVER_PORT"), env.backend("PORT")
    if listening is None or port is None or env.server_has_tls:
        return
    if listening.text.strip() in ("80", "443") and port.text.strip() != listening.text.strip():
        yield FaultFound(
            "env-ports-swapped",
            location=listening.location,
            port=listening.text.strip(),
            other=port.location,
            inside=port.text.strip(),
        )


def _driver(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    if env.app("KEY") is None:
        return
    for name in ("SOUNDPOST_BROADCAST_DRIVER", "BROADCAST_CONNECTION", "BROADCAST_DRIVER"):
        value = env.present(name)
        if value is not None and value.text.strip().lower() in _OFF:
            driver = value.text.strip().lower()
            yield FaultFound("env-broadcaster-off", location=value.location, driver=driver, fate=_OFF[driver])
            return


def _public(env: EnvSettings, public: SourcedAddress | None) -> Iterator[FaultFound]:
    """Yield settings of the browsers' address that contradict each other."""
    url, url_value = public_url_in(env), env.public("URL")
    for name in ("HOST", "PORT", "SCHEME"):
        values = [value for value in (env.public(name), env.frontend(name)) if value is not None]
        if url is not None and url_value is not None and env.public(name) is None:
            values.insert(0, Value(str(getattr(url, name.lower())), url_value.location))
        if public is not None:
            values.append(Value(str(getattr(public.base_url, name.lower())), public.source))
        for other in values[1:]:
            if not _same(name, values[0].text.strip(), other.text.strip()):
                yield FaultFound(
                    "env-public-differs",
                    location=values[0].location,
                    first=values[0].text.strip(),
                    other=other.location,
                    second=other.text.strip(),
                )
                break


def _same(name: str, one: str, other: str) -> bool:
    """Return whether two values send browsers to the same place."""
    return one == other or (name == "HOST" and is_loopback(one) and is_loopback(other))


def _in_source(file: EnvFile) -> Iterator[FaultFound]:
    """Yield the faults of calls of ``new Echo`` or ``new Pusher`` in a frontend's source."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", file.source, flags=re.DOTALL)
    for call in re.finditer(r"new\s+(?:Echo|Pusher)\s*(?:<[^>]*>)?\(.*?\}\s*\)", text, re.DOTALL):
        options = call[0]
        without_tls = re.search(r"forceTLS\s*:\s*false", options)
        if re.search(r"\bwsPort\b", options) and not re.search(r"\bwssPort\b", options) and not without_tls:
            yield FaultFound("env-wss-port-missing", location=file.label)


_CHECKS: Final[tuple[EnvCheck, ...]] = (
    _leaks,
    _placeholders,
    _shapes,
    _credentials,
    _key,
    _empty,
    _frontend_port,
    _no_scheme,
    _frontend_host,
    _schemes_and_ports,
    _backend_scheme,
    _mixed_ports,
    _driver,
    _public,
)
