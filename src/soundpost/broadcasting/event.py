"""Events as classes: their channels, their name in the browser, and their data.

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
from soundpost.broadcasting.options import check_class, check_flag, connection_names
from soundpost.broadcasting.serialization import dumped, fields_of
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.errors import PayloadError
from soundpost.values.orm import is_orm_object
from soundpost.values.text import user_id_of

OnError = Literal["raise", "log"]

NOTIFICATION: Final = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"
"""The event name that Echo's ``notification()`` and ``useEchoNotification`` listen to."""


@runtime_checkable
class SupportsBroadcast(Protocol):
    """An object with channels, which can be broadcast; the rest of :class:`Broadcastable` is optional."""

    def broadcast_on(self) -> ChannelLike | Iterable[ChannelLike]:
        """Return the channel or channels of the event."""


class Broadcastable:
    """The mixin that makes any class an event: a dataclass, a pydantic model, a msgspec Struct, a class of your own.

    Options for all events of the class are keywords of the class: ``on``, ``name``, ``queue``, ``via``,
    ``after_commit``, ``on_error``, ``ephemeral``. A method with the same purpose takes precedence. ``rescue=True``,
    Laravel's word, means ``on_error="log"``. A class with a wrong option raises ConfigurationError when it is defined.
    """

    __slots__ = ()

    broadcast_queue: ClassVar[str | None] = None
    """The queue that carries the event, for deliveries with queues; None: as configured."""
    broadcast_via: ClassVar[str | tuple[str, ...] | None] = None
    """The configured connection, or connections, that the event is sent through; None: the default one."""
    after_commit: ClassVar[bool | None] = None
    """True: wait for the commit of the database transaction; None: as configured."""
    on_error: ClassVar[OnError | None] = None
    """Raise a failure, or log it; None: as configured."""
    ephemeral: ClassVar[bool] = False
    """True: the history of a channel does not keep the event."""
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
        ephemeral: bool | None = None,
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
            cls.broadcast_via = via if isinstance(via, str) else connection_names(via, f"event {cls.__name__}: ")
        if after_commit is not None:
            cls.after_commit = after_commit
        check_flag(rescue, "rescue", f"event {cls.__name__}: ")
        if rescue or on_error is not None:
            cls.on_error = on_error or "log"
        if ephemeral is not None:
            cls.ephemeral = ephemeral
        check_class(cls)

    def broadcast_on(self) -> ChannelLike | Iterable[ChannelLike]:
        """Return the channel or channels of the event; an event without a channel is not sent."""
        if not self.__broadcast_channels__:
            raise NotImplementedError(
                f"{type(self).__name__} does not say where it goes: define broadcast_on(self), or give the class "
                f'on=PrivateChannel("…")'
            )
        try:
            return [
                channel.filled(_Fields(self)) if "{" in channel.name else channel
                for channel in self.__broadcast_channels__
            ]
        except (AttributeError, PayloadError) as error:
            raise PayloadError(f"event {type(self).__name__}: its channel cannot be named: {error}") from error

    def broadcast_as(self) -> str:
        """Return the name in the browser, for ``listen('.OrderShipped')``: the name of the class by default."""
        return self.__broadcast_name__ or type(self).__name__

    def broadcast_with(self) -> Any:
        """Return the data, a mapping or any value that can be serialised: the public fields by default."""
        return default_payload(self)

    def broadcast_when(self) -> bool:
        """Return whether the event is sent."""
        return True

    def broadcast(self, **options: Any) -> None:
        """Broadcast the event, with the options of :func:`soundpost.broadcast`."""
        default_broadcaster()(self, **options)

    async def abroadcast(self, **options: Any) -> None:
        """Broadcast the event without blocking the event loop, with the options of :func:`soundpost.abroadcast`."""
        await default_broadcaster().abroadcast(self, **options)


@dataclass_transform()
class Event(Broadcastable):
    """An event whose annotations are its fields: a dataclass without the decorator."""

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

    Subclasses add fields; the browser gets the fields with an ``id`` and, as ``type``, the class name. The channel is
    the private one that ``notification_channel`` of the settings names, ``App.Models.User.{id}`` by default.
    """

    user_id: Any

    notification_channel: ClassVar[str | None] = None
    """Name of the channel, without prefix and with ``{id}``; None: as configured."""

    def broadcast_on(self) -> ChannelLike | Iterable[ChannelLike]:
        """Return the user's channel, by the settings of the default broadcaster where the class names none."""
        return self.user_channel(lambda: default_broadcaster().settings)

    def user_channel(self, settings: Callable[[], BroadcastSettings]) -> PrivateChannel:
        """Return the user's channel, by the settings of a broadcaster where the class names none."""
        pattern = self.notification_channel or settings().notification_channel
        user_id = user_id_of(self.user_id, f"event {type(self).__name__}: user_id")
        return PrivateChannel(pattern.replace("{id}", user_id))

    def broadcast_as(self) -> str:
        """Return the name that Laravel gives to all notifications."""
        return NOTIFICATION

    def broadcast_type(self) -> str:
        """Return the type by which the browser tells kinds of notifications apart: the class name by default."""
        return type(self).__name__

    def broadcast_with(self) -> Any:
        """Return the fields, with ``id`` and ``type``."""
        fields = {name: value for name, value in (fields_of(self) or {}).items() if name != "user_id"}
        return {"id": str(uuid4()), "type": self.broadcast_type(), **fields}


def default_payload(event: Any) -> Any:
    """Return the public fields of an event of any class; an ORM object as it is, for serialisation to refuse."""
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
