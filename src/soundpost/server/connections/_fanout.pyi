from collections.abc import Iterable

from soundpost.core.connection import Connection

def send_all(connections: Iterable[Connection], data: bytes, /) -> list[tuple[Connection, int]]: ...
