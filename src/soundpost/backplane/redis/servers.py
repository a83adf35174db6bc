"""Kinds of Redis installations: one server, a master found by Sentinel, or all masters of a Redis Cluster.

Source: https://redis.io/docs/latest/develop/reference/sentinel-clients/ and …/reference/cluster-spec/
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Callable
from typing import Any, Final, Protocol

import hiredis

from soundpost.backplane.redis.connection import Push, RedisConnection
from soundpost.backplane.redis.failures import refused, why
from soundpost.backplane.redis.login import Address, Login
from soundpost.backplane.redis.parameters import CONNECT_TIMEOUT
from soundpost.errors import SoundpostError

SLOTS: Final = 16_384
"""Number of hash slots of a Redis Cluster."""


class RedisError(SoundpostError):
    """Redis cannot be reached or used; the message says why."""


Callbacks = tuple[Push, Callable[[RedisConnection], None]]
"""Callbacks of a connection: ``on_push`` and ``on_lost``."""


async def connect(address: Address, login: Login, callbacks: Callbacks) -> RedisConnection:
    """Return a connection that has logged in. Raise RedisError."""
    loop = asyncio.get_running_loop()
    connection: RedisConnection | None = None
    try:
        async with asyncio.timeout(login.connect_timeout):
            if login.unix_socket is not None:
                _, connection = await loop.create_unix_connection(
                    lambda: RedisConnection(*callbacks), login.unix_socket
                )
            else:
                _, connection = await loop.create_connection(
                    lambda: RedisConnection(*callbacks),
                    address.host,
                    address.port,
                    ssl=login.tls,
                    server_hostname=address.host if login.tls else None,
                )
            credentials = ("AUTH", login.username or "default", login.password) if login.password else ()
            await connection.ask("HELLO", 3, *credentials, "SETNAME", login.name)
            if login.database:
                await connection.ask("SELECT", login.database)
            return connection
    except (OSError, TimeoutError, hiredis.ReplyError) as error:
        if connection is not None:
            connection.close()
        where = login.unix_socket or str(address)
        raise RedisError(f"Redis at {where}: {await why(error, address, login)}") from None


class Connected(Protocol):
    """Connections to all servers of an installation."""

    publish: str
    """Command that publishes: PUBLISH, or SPUBLISH with sharded topics."""
    subscribe: str
    unsubscribe: str
    connections: list[RedisConnection]

    def connection_of(self, tag: bytes) -> RedisConnection:
        """Return the connection to the server that has the keys with this tag."""


class SingleConnection:
    """The connection to a single server."""

    publish, subscribe, unsubscribe = "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"

    def __init__(self, connection: RedisConnection) -> None:
        self.connections = [connection]

    def connection_of(self, tag: bytes) -> RedisConnection:
        """Return the only connection."""
        return self.connections[0]


class ClusterConnections:
    """Connections to the masters of a Redis Cluster."""

    def __init__(self, owners: list[tuple[int, int, RedisConnection]], sharded: bool) -> None:
        prefix = "S" if sharded else ""
        self.publish, self.subscribe, self.unsubscribe = (
            prefix + word for word in ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE")
        )
        self.connections = list({id(owner): owner for _, _, owner in owners}.values())
        self._slots: list[RedisConnection | None] = [None] * SLOTS
        for first, last, owner in owners:
            self._slots[first : last + 1] = [owner] * (last + 1 - first)
        self._by_tag: dict[bytes, RedisConnection] = {}

    def connection_of(self, tag: bytes) -> RedisConnection:
        """Return the connection to the owner of the tag's slot."""
        connection = self._by_tag.get(tag)
        if connection is None:
            slot = binascii.crc_hqx(tag.strip(b"{}"), 0) % SLOTS  # what is hashed of a key with such a tag
            connection = self._slots[slot] or self.connections[0]
            self._by_tag[tag] = connection
        return connection


class Servers(Protocol):
    """A Redis installation to connect to."""

    async def connect(self, callbacks: Callbacks) -> Connected:
        """Connect to all servers of the installation. Raise RedisError."""

    def __str__(self) -> str:
        """Return the place for log lines, without a password."""


class Standalone:
    """A single server, which Redis calls standalone."""

    def __init__(self, address: Address, login: Login) -> None:
        self._address = address
        self._login = login

    def __str__(self) -> str:
        return self._login.unix_socket or str(self._address)

    async def connect(self, callbacks: Callbacks) -> Connected:
        """Connect to the server. Raise RedisError, for a replica too: messages there do not reach the others."""
        connection = await connect(self._address, self._login, callbacks)
        if await _is_replica(connection):
            connection.close()
            raise RedisError(
                f"Redis at {self} is a replica: name the master, or the sentinels (redis-sentinel://host:26379/0#master)"
            )
        return SingleConnection(connection)


class Sentinel:
    """A master by name, as named by the first sentinel that answers."""

    def __init__(self, sentinels: list[Address], name: str, login: Login, sentinel_login: Login) -> None:
        self._sentinels = sentinels
        self._name = name
        self._login = login
        self._sentinel_login = sentinel_login

    def __str__(self) -> str:
        return f"master '{self._name}' of sentinels {', '.join(map(str, self._sentinels))}"

    async def connect(self, callbacks: Callbacks) -> Connected:
        """Connect to the master. Raise RedisError."""
        faults = []
        for sentinel in self._sentinels:
            try:
                connection = await connect(sentinel, self._sentinel_login, _NO_CALLBACKS)
                found = await _ask(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
                connection.close()
                if found is None:
                    raise RedisError(f"sentinel {sentinel} knows no master '{self._name}'")
                return await Standalone(Address(found[0].decode(), int(found[1])), self._login).connect(callbacks)
            except RedisError as error:
                faults.append(str(error))
        raise RedisError("; ".join(faults))


class Cluster:
    """All masters of a Redis Cluster, as listed by the first seed that answers."""

    def __init__(self, seeds: list[Address], login: Login) -> None:
        self._seeds = seeds
        self._login = login

    def __str__(self) -> str:
        return f"cluster of {', '.join(map(str, self._seeds))}"

    async def connect(self, callbacks: Callbacks) -> Connected:
        """Connect to every master. Raise RedisError."""
        faults = []
        for seed in self._seeds:
            try:
                connection = await connect(seed, self._login, _NO_CALLBACKS)
                slots = await _ask(connection, "CLUSTER", "SLOTS")
                commands = await _ask(connection, "COMMAND", "INFO", "SPUBLISH")
                connection.close()
                return await self._connect_all(seed, slots, bool(commands and commands[0]), callbacks)
            except RedisError as error:
                faults.append(str(error))
        raise RedisError("; ".join(faults))

    async def _connect_all(self, seed: Address, slots: list[Any], sharded: bool, callbacks: Callbacks) -> Connected:
        connections: dict[Address, RedisConnection] = {}
        owners = []
        try:
            for first, last, master, *_ in slots:
                address = Address(master[0].decode() if master[0] else seed.host, master[1])
                if address not in connections:
                    connections[address] = await connect(address, self._login, callbacks)
                owners.append((first, last, connections[address]))
        except RedisError:
            for connection in connections.values():
                connection.close()
            raise
        if sum(last + 1 - first for first, last, _ in owners) < SLOTS:
            raise RedisError(f"the {self} does not serve all slots: is it still being set up?")
        return ClusterConnections(owners, sharded)


_NO_CALLBACKS: Final[Callbacks] = (lambda topic, data: None, lambda connection: None)


async def _is_replica(connection: RedisConnection) -> bool:
    """Return whether a server is a replica; False if it refuses the question: it refuses the first script then."""
    try:
        role = await _answer(connection, "ROLE")
    except hiredis.ReplyError:  # a user without the dangerous commands, or one that a provider renamed
        return False
    return bool(role[0] != b"master")


async def _ask(connection: RedisConnection, *command: str) -> Any:
    """Return the answer to a command. Raise RedisError."""
    try:
        return await _answer(connection, *command)
    except hiredis.ReplyError as error:
        connection.close()
        raise RedisError(f"Redis: {refused(error, ' '.join(command))}") from None


async def _answer(connection: RedisConnection, *command: str) -> Any:
    """Return the answer to a command. Raise hiredis.ReplyError for a refusal, RedisError for no answer."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await connection.ask(*command)
    except TimeoutError:
        reason = f"no answer within {CONNECT_TIMEOUT:g} s"
    except OSError as error:
        reason = str(error)
    connection.close()
    raise RedisError(f"Redis: {' '.join(command)}: {reason}")
