"""Parameters of a Redis URL (``?ssl_cert_reqs=none&db=3``), a part of those of redis-py.

Source: https://redis.readthedocs.io/en/stable/connections.html. ``database`` is Laravel's name for ``db``.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from soundpost.errors import StartError
from soundpost.redaction import is_secret_name, redacted
from soundpost.suggestions import nearest

if TYPE_CHECKING:
    from soundpost.config.settings import ScalingSettings

CONNECT_TIMEOUT: Final = 3.0
"""Seconds to connect, unless ``socket_connect_timeout`` says otherwise."""
_MAX_TIMEOUT: Final = 60.0
_TLS: Final = (
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_keyfile",
    "ssl_min_version",
    "ssl_password",
)
TAKEN: Final = ("client_name", "database", "db", "password", "protocol", "socket_connect_timeout", *_TLS, "username")
"""Names of all parameters that are taken."""
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")
_CERT_REQS: Final[Mapping[str, ssl.VerifyMode]] = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class Parameters:
    """Parsed parameters. Raises StartError for a parameter that is unknown, given twice, or wrong."""

    def __init__(self, query: str) -> None:
        self._given: dict[str, str] = {}
        self._hidden: set[str] = set()
        """Names of parameters with hidden values: secrets, and those after a secret, which may be a part of it."""
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in TAKEN and self._hidden:
                raise StartError("scaling.redis: what follows the password is not a parameter: & in a password is %26")
            if self._hidden or is_secret_name(name):
                self._hidden.add(name)
            if name not in TAKEN:
                near = nearest(name, TAKEN, cutoff=0.75)
                hint = f"did you mean {near}?" if near else f"there are {', '.join(TAKEN)}"
                raise StartError(f"scaling.redis: parameter {name[:40]!a} is not taken, leave it out; {hint}")
            if name in self._given:
                raise StartError(f"scaling.redis: parameter {name} is given twice")
            self._given[name] = value
        if self._text("protocol") not in (None, "3"):
            raise self._wrong("protocol", "3, the only one that carries answers and messages together")
        self.username = self._text("username")
        self.password = self._text("password")
        self.client_name = self._text("client_name") or "soundpost"
        if not self.client_name.isascii() or not self.client_name.isprintable() or " " in self.client_name:
            raise self._wrong("client_name", "printable ASCII without spaces")
        self.connect_timeout = self._seconds("socket_connect_timeout", CONNECT_TIMEOUT)

    def database(self) -> int | None:
        """Return the number of the database; None if no parameter names one."""
        numbers = {name: self._text(name) for name in ("db", "database")}
        for name, text in numbers.items():
            if text is not None and not (text.isascii() and text.isdigit()):
                raise self._wrong(name, "a number such as 0")
        given = {int(text) for text in numbers.values() if text is not None}
        if len(given) > 1:
            raise StartError("scaling.redis: db and database are two names of one thing: give one")
        return given.pop() if given else None

    def refuse_tls(self, scheme: str) -> None:
        """Raise StartError for a parameter of TLS in a URL without TLS: its author believes that there is TLS."""
        for name in _TLS:
            if name in self._given:
                raise StartError(f"scaling.redis: parameter {name} needs TLS: write rediss:// in place of {scheme}://")

    def tls(self, settings: ScalingSettings) -> ssl.SSLContext:
        """Return the TLS context made of these parameters and the files of ``[scaling]``."""
        authorities = self._one("ssl_ca_certs", "ca_certificate", settings.ca_certificate)
        certificate = self._one("ssl_certfile", "certificate", settings.certificate)
        key = self._one("ssl_keyfile", "key", settings.key)
        path, data, ciphers = self._text("ssl_ca_path"), self._text("ssl_ca_data"), self._text("ssl_ciphers")
        try:
            context = ssl.create_default_context(cafile=authorities, capath=path, cadata=data)
            if certificate is not None:
                context.load_cert_chain(certificate, key, self._text("ssl_password"))
            if ciphers is not None:
                context.set_ciphers(ciphers)
        except (OSError, ValueError) as error:  # also ssl.SSLError
            files = ", ".join(name for name in (authorities, path, certificate, key) if name) or "ssl_ca_data"
            raise StartError(f"scaling: what TLS to Redis is to use, {files}, cannot be used: {error}") from None
        self._check_less(context)
        return context

    def _check_less(self, context: ssl.SSLContext) -> None:
        reqs = self._text("ssl_cert_reqs") or "required"
        if reqs not in _CERT_REQS:
            raise self._wrong("ssl_cert_reqs", "none, optional or required")
        if reqs == "none" or not self._bool("ssl_check_hostname", True):
            context.check_hostname = False
        context.verify_mode = _CERT_REQS[reqs]
        version = self._text("ssl_min_version")
        if version is not None:
            try:
                context.minimum_version = ssl.TLSVersion(int(version))
            except ValueError:
                raise self._wrong("ssl_min_version", "771 (TLS 1.2) or 772 (TLS 1.3)") from None

    def _text(self, name: str) -> str | None:
        return self._given.get(name) or None

    def _one(self, name: str, option: str, configured: str | None) -> str | None:
        given = self._text(name)
        if given is not None and configured is not None:
            raise StartError(f"scaling.redis: parameter {name} says what scaling.{option} says: give one of them")
        return given or configured

    def _bool(self, name: str, default: bool) -> bool:
        text = (self._text(name) or str(default)).lower()
        if text not in (*_TRUE, *_FALSE):
            raise self._wrong(name, "true or false")
        return text in _TRUE

    def _seconds(self, name: str, default: float) -> float:
        text = self._text(name)
        try:
            value = default if text is None else float(text)
        except ValueError:
            value = 0.0
        if not 0 < value <= _MAX_TIMEOUT:
            raise self._wrong(name, f"a number of seconds, above 0 and up to {_MAX_TIMEOUT:.0f}")
        return value

    def _wrong(self, name: str, expected: str) -> StartError:
        shown = "" if name in self._hidden else f"={redacted(self._given[name])}"
        return StartError(f"scaling.redis: parameter {name}{shown}: expected {expected}")
