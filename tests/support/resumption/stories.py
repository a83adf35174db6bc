"""What was published on channels with history, and what each client's handlers were given of it, one after the other.

Both are noted where it happens, in several processes. They cross to the one that judges as JSON. Times are seconds of
``time.monotonic``, which all processes of a machine share.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec


class Publication(msgspec.Struct, array_like=True):
    """An event that somebody tried to publish on a channel.

    ``event`` is its name among all, ``PUBLISHER.NUMBER``. It is the first word of the event's data.
    """

    channel: str
    event: str
    sent: float
    host: int = 0
    """Number of the host that answered, or was asked last; -1 if that is any of them."""
    answered: float | None = None
    """When it was acknowledged; None if it never was."""
    attempts: int = 1
    """How often it was sent. More than once: always with the same ``Idempotency-Key``."""
    excluded: str = ""
    """Socket id of the client that is not to get the event."""
    is_ephemeral: bool = False

    @property
    def publisher(self) -> str:
        """The name of who published it."""
        return self.event.partition(".")[0]

    @property
    def number(self) -> int:
        """The publisher's number of it: it publishes one after the other."""
        return int(self.event.partition(".")[2])


class Began(msgspec.Struct, tag="began", array_like=True):
    """Subscribed for the first time; ``position`` is the one told, None to a client that does not resume."""

    at: float
    position: str | None = None


class Rendered(msgspec.Struct, tag="rendered", array_like=True):
    """A new page, which knows nothing but the position that its data was rendered from."""

    at: float
    position: str


class Resumed(msgspec.Struct, tag="resumed", array_like=True):
    """Subscribed again, and told that nothing is missing behind ``position``."""

    at: float
    position: str | None
    count: int


class Gap(msgspec.Struct, tag="gap", array_like=True):
    """Told that something up to ``position`` may be missing; None if the client hides positions."""

    at: float
    position: str | None
    reason: str


class Handed(msgspec.Struct, tag="event", array_like=True):
    """An event that the handlers were given; ``position`` is None if the message had none, or the client hides it."""

    at: float
    event: str
    position: str | None = None


class Left(msgspec.Struct, tag="left", array_like=True):
    """Unsubscribed, or gone for good."""

    at: float


Entry = Began | Rendered | Resumed | Gap | Handed | Left


class Story(msgspec.Struct):
    """One client on one channel, from its first subscription to the end."""

    client: str
    channel: str
    kind: Literal["resuming", "stock"]
    entries: list[Entry] = []
    faults: list[str] = []
    """What the client found wrong with what it was sent, in words."""
    hides_positions: bool = False
    """Whether the client's handlers are given no positions, as those of pusher-js."""


class Told(msgspec.Struct):
    """What a process of clients has to tell. ``pages``: of each client, the socket ids that each of its pages had.

    ``away``: seconds from each end of a connection to the last subscription on the next. ``ends``: how they ended.
    """

    stories: list[Story]
    pages: dict[str, list[list[str]]] = {}
    away: list[float] = []
    ends: dict[str, int] = {}
    dropped: int = 0
    """Events that came to a client that had them already, and that it dropped."""
    notices: int = 0
    """Notices of members that came or went."""
    members: dict[str, list[str]] = {}
    """By client: the users on the presence channel, as it was told."""
    publications: list[Publication] = []
    """What applications have published."""


class Kept(msgspec.Struct):
    """The history of a channel as the HTTP API gives it, oldest first: pairs of position and event."""

    channel: str
    events: list[tuple[str, str]]
    most: int
    """As many events are kept, unless age or memory ends them."""
    floor: str = ""
    """Position up to which the history was deleted, if it was."""
    deleted_at: float = 0.0
    """When it was deleted. What was sent before may have been seen by nobody."""
    size: int = 0
    """Bytes of all its messages."""


def behind(stories: Iterable[Story], events: dict[str, str]) -> list[str]:
    """The client and channel of each story that does not have the event named for its channel near its end: some come
    after it, of hosts that were away."""
    found = []
    for story in stories:
        newest = (entry.event for entry in story.entries[-400:] if isinstance(entry, Handed))
        if story.channel in events and events[story.channel] not in newest:
            found.append(f"{story.client} on {story.channel} lacks {events[story.channel]}")
    return found


def written(told: Told) -> str:
    """Write it into a file for another process; its path."""
    with tempfile.NamedTemporaryFile(prefix="soundpost-stories-", suffix=".json", delete=False) as file:
        file.write(msgspec.json.encode(told))
    return file.name


def read(path: str) -> Told:
    """Read what was written, and remove the file."""
    file = Path(path)
    told = msgspec.json.decode(file.read_bytes(), type=Told)
    file.unlink()
    return told
