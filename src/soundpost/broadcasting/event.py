"""Events as classes: which channels they go to, what they are called, what they carry.

class OrderShipped(Event, on=PrivateChannel("orders.{order_id}")):
    order_id: int
    carrier: str
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, Protocol, dataclass_transform, runtime_checkable
from uuid import uuid4

from soundpost.broadcasting.channels import Channel, ChannelLike, PrivateChannel, several
from soundpost.broadcasting.default_broadcaster import default_broadcaster
from soundpost.broadcasting.serialization import dumped, fields_of
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import PayloadError
from soundpost.values.orm import is_orm_object
from soundpost.values.text import user_id_of

OnError = Literal["raise", "log"]

NOTIFICATION: Final = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"
"""The event that Echo's ``notification()`` and ``useEchoNotification`` listen to."""


@runtime_checkable
class SupportsBroadcast(Protocol):
    """Anything that says where it goes can be broadcast; the rest of :class:`Broadcastable` is optional."""

    def broadcast_on(self) -> ChannelLike | Iterable[ChannelLike]:
        """The channels it goes to."""


class Broadcastable:
    """What makes an event of any class: a dataclass, a pydantic model, a msgspec Struct, one of your own.

    ``on``, ``name``, ``queue``, ``via``, ``after_commit``, ``on_error`` and ``rescue`` may be given as keywords
    of the class, where they are always the same; methods of the same purpose win.
    """

    __slots__ = ()

    broadcast_queue: ClassVar[str | None] = None
    """The queue that carries it, where delivery is by a queue."""
    broadcast_via: ClassVar[str | tuple[str, ...] | None] = None
    """The configured connection, or connections, it is sent through."""
    after_commit: ClassVar[bool | None] = None
    """Whether it waits for the database transaction; None: as configured."""
    on_error: ClassVar[OnError | None] = None
    """Whether a failure is raised or logged; None: as configured."""
    __broadcast_channels__: ClassVar[tuple[Channel, ...]] = ()
    __broadcast_name__: ClassVar[str | None] = None

    def __init_subclass__(
        cls,
        *,
        on: ChannelLike | Iterable[ChannelLike] | None = None,
        name: str | None = None,
        queue: str | None = None,
        via: str | Iterable[str] | None = None,
        after_commit: bool | None = None,
        on_error: OnError | None = None,
        rescue: bool = False,
        **more: Any,
    ) -> None:
        super().__init_subclass__(**more)
        if on is not None:
            cls.__broadcast_channels__ = tuple(
                each if isinstance(each, Channel) else Channel(each) for each in several(on)
            )
        if name is not None:
            cls.__broadcast_name__ = name
        if queue is not None:
            cls.broadcast_queue = queue
        if via is not None:
            cls.broadcast_via = via if isinstance(via, str) else tuple(via)
        if after_commit is not None:
            cls.after_commit = after_commit
        if rescue or on_error is not None:
            cls.on_error = on_error or "log"

    def broadcast_on(self) -> ChannelLike | Iterable[ChannelLike]:
        """The channel or channels it goes to; none: it is not sent."""
        if not self.__broadcast_channels__:
            raise NotImplementedError(
                f"{type(self).__name__} does not say where it goes: define broadcast_on(self), or give the class "
                f'on=PrivateChannel("…")'
            )
        try:
            return [channel.filled(_Fields(self)) for channel in self.__broadcast_channels__]
        except (AttributeError, PayloadError) as error:
            raise PayloadError(f"event {type(self).__name__}: its channel cannot be named: {error}") from error

    def broadcast_as(self) -> str:
        """Its name in the browser: ``listen('.OrderShipped')``; the class name if nothing else is said."""
        return self.__broadcast_name__ or type(self).__name__

    def broadcast_with(self) -> Any:
        """What it carries: a mapping, or anything that can be serialised; its public fields if nothing else is said."""
        return default_payload(self)

    def broadcast_when(self) -> bool:
        """Whether it is sent at all."""
        return True

    def broadcast(self, **options: Any) -> None:
        """Send it; takes what :func:`soundpost.broadcast` takes."""
        default_broadcaster()(self, **options)

    async def abroadcast(self, **options: Any) -> None:
        """Send it without blocking the event loop."""
        await default_broadcaster().abroadcast(self, **options)


@dataclass_transform()
class Event(Broadcastable):
    """An event whose annotations are its fields: a dataclass, without the decorator."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(cls)
        for channel in cls.__broadcast_channels__:
            for name in channel.placeholders:
                if name not in cls.__dataclass_fields__ and not hasattr(cls, name):  # type: ignore[attr-defined]
                    raise TypeError(
                        f"{cls.__name__}: the channel {str(channel)!r} wants a field {name!r}, there is none"
                    )


class UserNotification(Event):
    """A notification to one user: laravel-echo's ``notification()`` and ``useEchoNotification`` get it unchanged.

    Subclasses add fields; the browser gets them with an ``id`` and, as ``type``, the class name. It goes to the private
    channel that ``notification_channel`` of the configuration names, ``App.Models.User.{id}`` if nothing else is said.
    """

    user_id: Any

    notification_channel: ClassVar[str | None] = None
    """Name of the channel, without prefix, with ``{id}`` in it; None: as configured."""

    def broadcast_on(self) -> ChannelLike | Iterable[ChannelLike]:
        """Return the user's channel, by the settings of the default broadcaster where the class names none."""
        return self.user_channel(lambda: default_broadcaster().settings)

    def user_channel(self, settings: Callable[[], BroadcastSettings]) -> PrivateChannel:
        """Return the user's channel, by the settings of a broadcaster where the class names none."""
        pattern = self.notification_channel or settings().notification_channel
        user_id = user_id_of(self.user_id, f"event {type(self).__name__}: user_id")
        return PrivateChannel(pattern.replace("{id}", user_id))

    def broadcast_as(self) -> str:
        """The name that Laravel gives to all notifications."""
        return NOTIFICATION

    def broadcast_type(self) -> str:
        """What the browser tells kinds of notifications apart by."""
        return type(self).__name__

    def broadcast_with(self) -> Any:
        """Its fields, ``id`` and ``type``."""
        fields = {name: value for name, value in (fields_of(self) or {}).items() if name != "user_id"}
        return {"id": str(uuid4()), "type": self.broadcast_type(), **fields}


def default_payload(event: Any) -> Any:
    """The public fields of an event of any class; of an ORM object itself, which serialisation refuses by name."""
    if is_orm_object(event):
        return event
    if hasattr(event, "model_dump"):
        return dumped(event, f"event {type(event).__name__}")
    fields = fields_of(event)
    if fields is None:
        fields = {name: value for name, value in vars(event).items() if not name.startswith("_")}
    return fields


class _Fields(Mapping[str, Any]):
    """The attributes of an event, by name."""

    def __init__(self, event: Any) -> None:
        self._event = event

    def __getitem__(self, name: str) -> Any:
        return getattr(self._event, name)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self._event))

    def __len__(self) -> int:
        return len(vars(self._event))
