"""Redis URLs, and the servers that they name.

``redis://user:password@host:6379/0``, ``rediss://`` over TLS, ``unix:///path?db=0``; several hosts, with commas in
between, for ``redis-sentinel://host1:26379,host2:26379/0#master`` and ``redis-cluster://host1,host2`` (over TLS
``rediss-sentinel://`` and ``rediss-cluster://``). Laravel's ``tcp://`` and ``tls://`` are the first two. Parameters:
see :mod:`.parameters`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.parameters import Parameters
from soundpost.backplane.redis.servers import Cluster, Sentinel, Servers, Standalone
from soundpost.errors import StartError
from soundpost.redaction import redacted_url

if TYPE_CHECKING:
    from soundpost.config.settings import ScalingSettings

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_DEFAULT_MASTER: Final = "mymaster"
_OF_LARAVEL: Final = {"tcp": "redis", "tls": "rediss"}
_ENCODE: Final = "special characters of user and password are percent-encoded: / is %2F, # is %23, ? is %3F, @ is %40"


def servers_of(settings: ScalingSettings) -> Servers:
    """Return the servers that ``[scaling]`` names. Raise StartError for a URL or a file that cannot be used."""
    written = settings.redis or ""
    url = _split(written)
    scheme, _, kind = _OF_LARAVEL.get(url.scheme, url.scheme).partition("-")
    user, _, hosts = url.netloc.rpartition("@")
    username, _, password = user.partition(":")
    parameters = Parameters(url.query)
    database = parameters.database()
    if database is None:
        database = _database(url)
    login = Login(
        username=unquote(username) or parameters.username,
        password=unquote(password) or parameters.password,
        database=database,
        tls=parameters.tls(settings) if scheme == "rediss" else None,
        unix_socket=unquote(url.path) if scheme == "unix" else None,
        name=parameters.client_name,
        connect_timeout=parameters.connect_timeout,
    )
    if scheme != "rediss":
        parameters.refuse_tls(url.scheme)
    if url.fragment and kind != "sentinel":
        raise StartError(f"scaling.redis: {redacted_url(written)}: only redis-sentinel:// ends in #master; {_ENCODE}")
    if scheme == "unix":
        if hosts or not login.unix_socket:
            raise StartError(
                f"scaling.redis: {redacted_url(written)}: a path such as unix:///run/redis.sock is expected"
            )
        return Standalone(Address("localhost", 0), login)
    addresses = [_address(host, _SENTINEL_PORT if kind == "sentinel" else _PORT, written) for host in hosts.split(",")]
    if kind == "sentinel":
        own = login._replace(database=0)
        if settings.sentinel_password is not None or settings.sentinel_username is not None:
            own = own._replace(username=settings.sentinel_username, password=settings.sentinel_password)
        return Sentinel(addresses, unquote(url.fragment) or _DEFAULT_MASTER, login, own)
    if kind == "cluster":
        if login.database:
            raise StartError(f"scaling.redis: database {login.database}: a Redis Cluster has database 0 only")
        return Cluster(addresses, login)
    if len(addresses) > 1:
        raise StartError(f"scaling.redis names {len(addresses)} hosts: write redis-cluster:// or redis-sentinel://")
    return Standalone(addresses[0], login)


def _split(written: str) -> SplitResult:
    try:
        url = urlsplit(written)
    except ValueError:  # its texts quote the user and the password
        raise StartError(f"scaling.redis: {redacted_url(written)} is not a URL: {_ENCODE}") from None
    if "@" in f"{url.path}{url.query}{url.fragment}":
        # The password went on where it has ended for us: nothing of what follows may be taken for a host or shown.
        raise StartError(f"scaling.redis: {redacted_url(written)} cannot be read: {_ENCODE}")
    return url


def _address(host: str, default_port: int, written: str) -> Address:
    try:
        parsed = urlsplit(f"//{host}")
        port = parsed.port
    except ValueError:
        port, parsed = -1, urlsplit("//")
    if port == -1 or not (parsed.hostname or host == ""):
        raise StartError(
            f"scaling.redis: {redacted_url(written)} has a host without a port that is one, such as 10.0.0.5:6379; "
            f"a password stands before an @, and {_ENCODE}"
        )
    return Address(parsed.hostname or "127.0.0.1", port or default_port)


def _database(url: SplitResult) -> int:
    text = "" if url.scheme == "unix" else url.path.strip("/")
    if text and not (text.isascii() and text.isdigit()):
        raise StartError(
            f"scaling.redis: {redacted_url(url.geturl())}: the database is not a number: the URL ends in one such as "
            f"/0; {_ENCODE}"
        )
    return int(text or 0)
