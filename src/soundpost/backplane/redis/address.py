"""From a Redis URL to the servers it names.

``redis://user:password@host:6379/0``, ``rediss://`` over TLS, ``unix:///path?db=0``; several hosts, with commas in
between, for ``redis-sentinel://host1:26379,host2:26379/0#master`` and ``redis-cluster://host1,host2`` (over TLS
``rediss-sentinel://`` and ``rediss-cluster://``).
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from soundpost.backplane.redis.servers import Address, Cluster, Login, Plain, Sentinel, Servers
from soundpost.errors import StartError

if TYPE_CHECKING:
    from soundpost.config.settings import ScalingSettings

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_DEFAULT_MASTER: Final = "mymaster"


def servers_of(settings: ScalingSettings) -> Servers:
    """What ``[scaling]`` names. Raises StartError for a URL or a file that cannot be used."""
    url = urlsplit(settings.redis or "")
    scheme, _, kind = url.scheme.partition("-")
    user, _, hosts = url.netloc.rpartition("@")
    username, _, password = user.partition(":")
    login = Login(
        username=unquote(username) or None,
        password=unquote(password) or None,
        database=_database(url),
        tls=_tls(settings) if scheme == "rediss" else None,
        unix_socket=url.path if scheme == "unix" else None,
    )
    if scheme == "unix":
        return Plain(Address("localhost", 0), login)
    addresses = [_address(host, _SENTINEL_PORT if kind == "sentinel" else _PORT) for host in hosts.split(",")]
    if kind == "sentinel":
        own = login._replace(database=0)
        if settings.sentinel_password is not None or settings.sentinel_username is not None:
            own = own._replace(username=settings.sentinel_username, password=settings.sentinel_password)
        return Sentinel(addresses, url.fragment or _DEFAULT_MASTER, login, own)
    if kind == "cluster":
        if login.database:
            raise StartError(f"scaling.redis: database {login.database}: a Redis Cluster has database 0 only")
        return Cluster(addresses, login)
    if len(addresses) > 1:
        raise StartError(f"scaling.redis names {len(addresses)} hosts: write redis-cluster:// or redis-sentinel://")
    return Plain(addresses[0], login)


def _address(host: str, default_port: int) -> Address:
    try:
        parsed = urlsplit(f"//{host}")
        port = parsed.port
    except ValueError:
        port, parsed = -1, urlsplit("//")
    if port == -1 or not (parsed.hostname or host == ""):
        raise StartError(f"scaling.redis: '{host}' is no host with a port such as 10.0.0.5:6379")
    return Address(parsed.hostname or "127.0.0.1", port or default_port)


def _database(url: SplitResult) -> int:
    text = parse_qs(url.query).get("db", [""])[0]
    if not text and not url.scheme.startswith("unix"):
        text = url.path.strip("/")
    if text and not text.isdigit():
        raise StartError(f"scaling.redis: database '{text}' is no number: the URL ends in one such as /0")
    return int(text or 0)


def _tls(settings: ScalingSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_certificate)
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        files = settings.ca_certificate or settings.certificate
        raise StartError(f"scaling: the certificate in {files} cannot be used: {error}") from None
    return context
