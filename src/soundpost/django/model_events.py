"""Models that broadcast when their objects are created, updated and deleted.

@broadcasts(on=lambda order, event: PrivateChannel(f"orders.{order.pk}"), fields=["id", "status"])
class Order(models.Model): ...

The browser gets ``OrderCreated``, ``OrderUpdated``, ``OrderDeleted`` with ``{"model": {"id": 7, "status": "paid"}}``,
as ``useEchoModel`` expects: https://laravel.com/docs/broadcasting#model-broadcasting
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final, Literal, TypeVar

from django.db.models import FileField
from django.db.models.signals import class_prepared, post_delete, post_save

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.channels import Channel, ChannelLike, names_of, several
from soundpost.broadcasting.event import Broadcastable
from soundpost.django.transactions import commit_of
from soundpost.errors import ConfigurationError, PayloadError
from soundpost.suggestions import did_you_mean

ModelEventName = Literal["created", "updated", "deleted"]
Channels = ChannelLike | Iterable[ChannelLike] | None
ModelType = TypeVar("ModelType", bound=type)

_OPTIONS: Final = tuple(signature(broadcast).parameters.keys() - {"event", "misplaced"})
"""Names of the options of :func:`soundpost.broadcast`."""
EVENTS: Final[tuple[ModelEventName, ...]] = ("created", "updated", "deleted")
_silent: ContextVar[bool] = ContextVar("soundpost_silent", default=False)


@dataclass(frozen=True, slots=True)
class _Rule:
    """The arguments of ``@broadcasts`` for a model."""

    model: type
    on: Callable[[Any, str], Channels] | Channels
    fields: tuple[str, ...]
    events: tuple[str, ...]
    name: str
    options: dict[str, Any]


_rules: Final[dict[type, _Rule]] = {}


class ModelEvent(Broadcastable):
    """An event of a model's object: ``instance`` was ``created``, ``updated`` or ``deleted``."""

    def __init__(self, instance: Any, event: ModelEventName, using: str | None = None) -> None:
        self.instance = instance
        self.event = event
        self._using = using
        self._rule = _rule_of(type(instance))

    def broadcast_on(self) -> Channels:  # type: ignore[override]
        """Return the channels that ``on`` gives for the object."""
        on = self._rule.on
        if not callable(on):
            return [_filled(each, self.instance) for each in several(on or ())]
        return on(self.instance, self.event)

    def broadcast_as(self) -> str:
        """Return the name of the event: ``OrderUpdated``."""
        return _name(self._rule.name, self._rule.model, self.event)

    def broadcast_with(self) -> Any:
        """Return ``{"model": {…}}`` with the fields that ``@broadcasts`` names, and no other."""
        return {"model": {name: self._value(name) for name in self._rule.fields}}

    def _value(self, name: str) -> Any:
        if name == "pk":
            return self.instance.pk
        field = self.instance._meta.get_field(name)
        value = field.value_from_object(self.instance)
        if hasattr(value, "resolve_expression"):  # F("stock") - 1: only the database knows what it came to
            manager = type(self.instance)._base_manager.using(self._using)
            value = manager.values_list(field.attname, flat=True).get(pk=self.instance.pk)
        return (value.name if value else None) if isinstance(field, FileField) else value


def broadcasts(
    *,
    on: Callable[[Any, str], Channels] | Channels,
    fields: Iterable[str],
    events: Iterable[ModelEventName] = EVENTS,
    name: str = "{model}{Event}",
    **options: Any,
) -> Callable[[ModelType], ModelType]:
    """Decorate a model whose objects broadcast when they are created, updated and deleted, after the commit.

    ``on`` is a function ``(object, event)`` that returns a channel, several or none; or channels, with ``{attribute}``
    in their names. ``fields`` are the fields that browsers may see. ``events`` are some of ``created``, ``updated`` and
    ``deleted``. ``name`` is a template with ``{model}``, ``{event}`` and ``{Event}``. ``options`` are those of
    :func:`soundpost.broadcast`: ``to_others``, ``via``, ``on_error``. The latter is ``log`` by default: no ``save()``
    fails because of a server that does not answer.

    Django sends no signals for ``bulk_create``, ``bulk_update`` and ``QuerySet.update``: see :func:`broadcast_models`.
    Fixtures do not broadcast. Raises ConfigurationError for unknown fields, events, options and attributes in names of
    channels, for abstract models, and for a second ``@broadcasts`` of a model.
    """
    wanted = (fields,) if isinstance(fields, str) else tuple(fields)
    which = (events,) if isinstance(events, str) else tuple(events)

    def decorate(model: ModelType) -> ModelType:
        _check(model, wanted, which, name)
        _check_channels(model, on)
        _check_options(model, options)
        if model in _rules:
            raise ConfigurationError(f"{_what(model)}: the model has one already: give that one all channels, on=[…]")
        _rules[model] = _Rule(model, on, wanted, which, name, {"on_error": "log", **options})
        _listen(model)
        for proxy in _proxies_of(model):
            _listen(proxy)
        return model

    return decorate


@contextmanager
def without_broadcasting() -> Iterator[None]:
    """Keep models from broadcasting in a ``with`` block: for imports, migrations, tests."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def broadcast_models(objects: Iterable[Any], event: ModelEventName) -> None:
    """Broadcast for objects that were changed without signals: a queryset, or the result of ``bulk_create``.

    ``event`` is ``created``, ``updated`` or ``deleted``. The events are sent together, in as few requests as the server
    takes. Raises ConfigurationError for models without ``@broadcasts``, and for an unknown event.
    """
    if event not in EVENTS:
        raise ConfigurationError(f"broadcast_models: {event!r} is not an event of models: {', '.join(EVENTS)}")
    found = list(objects)
    if not found:
        return
    with commit_of(_database_of(found[0])), broadcast.batch():
        for each in found:
            _broadcast(each, event, _database_of(each))


def described_models() -> Iterator[str]:
    """Yield lines that describe the events of models, in the form of ``soundpost events``."""
    for model, rule in _rules.items():
        names = ", ".join(_name(rule.name, model, event) for event in rule.events)
        where = "(said by a function)" if callable(rule.on) else ", ".join(names_of(rule.on or ()))
        yield f"{names}  {model.__module__}.{model.__qualname__}"
        yield f"    on    {where}"
        yield f"    with  model: {', '.join(rule.fields)}"


def _listen(model: type) -> None:
    """Have the objects of a model broadcast when Django tells of a change; a second call does nothing."""
    events = _rule_of(model).events
    if "created" in events or "updated" in events:
        post_save.connect(_saved, sender=model, dispatch_uid="soundpost")
    if "deleted" in events:  # else Django may delete rows without loading them
        post_delete.connect(_deleted, sender=model, dispatch_uid="soundpost")


def _listen_to_proxy(*, sender: Any, **_: Any) -> None:
    """Listen to a proxy of a model that broadcasts: for its objects, Django's signals name the proxy."""
    if sender._meta.proxy and any(each in _rules for each in sender.__mro__):
        _listen(sender)


def _proxies_of(model: Any) -> Iterator[type]:
    for each in model.__subclasses__():
        if each._meta.proxy:
            yield each
            yield from _proxies_of(each)


class_prepared.connect(_listen_to_proxy, dispatch_uid="soundpost")


def _saved(*, instance: Any, created: bool, raw: bool, using: str, **_: Any) -> None:
    event: ModelEventName = "created" if created else "updated"
    if not raw and event in _rule_of(type(instance)).events:
        _broadcast(instance, event, using)


def _deleted(*, instance: Any, using: str, **_: Any) -> None:
    if "deleted" in _rule_of(type(instance)).events:
        _broadcast(instance, "deleted", using)


def _broadcast(instance: Any, event: ModelEventName, using: str) -> None:
    if _silent.get():
        return
    made = ModelEvent(instance, event, using)
    with commit_of(using):
        broadcast(made, **made._rule.options)


def _name(template: str, model: Any, event: str) -> str:
    return template.format(model=model._meta.object_name, event=event, Event=event.capitalize())


def _channel(channel: ChannelLike) -> Channel:
    return channel if isinstance(channel, Channel) else Channel(channel)


def _filled(channel: ChannelLike, instance: Any) -> Channel:
    made = _channel(channel)
    return made.filled({name: getattr(instance, name) for name in made.placeholders})


def _database_of(instance: Any) -> str:
    return str(instance._state.db or "default")


def _rule_of(model: type) -> _Rule:
    for each in model.__mro__:  # a class of deferred fields, a proxy
        if each in _rules:
            return _rules[each]
    raise ConfigurationError(f"{model.__name__} does not broadcast: decorate it with @broadcasts(on=…, fields=[…])")


def _check(model: Any, fields: tuple[str, ...], events: tuple[str, ...], name: str) -> None:
    what = _what(model)
    meta = getattr(model, "_meta", None)
    if meta is None or meta.abstract:
        raise ConfigurationError(f"{what}: the model has no table: decorate the models that are derived from it")
    if not fields:
        raise ConfigurationError(f"{what}: fields is empty: name the fields that browsers may see, ['id'] at least")
    known = {"pk", *(each.name for each in meta.concrete_fields), *(each.attname for each in meta.concrete_fields)}
    for field in fields:
        if field not in known:
            raise ConfigurationError(f"{what}: {field!r} is not a field of it; there are {', '.join(sorted(known))}")
    for event in events:
        if event not in EVENTS:
            raise ConfigurationError(f"{what}: {event!r} is not an event of models: {', '.join(EVENTS)}")
    try:
        _name(name, model, "created")
    except (KeyError, IndexError, ValueError):
        raise ConfigurationError(f"{what}: name {name!r} may have {{model}}, {{event}} and {{Event}} in it") from None


def _check_channels(model: Any, on: Any) -> None:
    if isinstance(on, type):
        raise ConfigurationError(f"{_what(model)}: on is the class {on.__name__}: give {on.__name__}('name')")
    if callable(on):
        return
    try:
        names = [name for each in several(on or ()) for name in _channel(each).placeholders]
    except PayloadError as error:
        raise ConfigurationError(f"{_what(model)}: {error}") from None
    for name in names:
        if not hasattr(model, name):
            raise ConfigurationError(f"{_what(model)}: on has {{{name}}}, which is not an attribute of the model")


def _check_options(model: Any, options: dict[str, Any]) -> None:
    for name in options:
        if name not in _OPTIONS:
            raise ConfigurationError(f"{_what(model)}: unknown option {name!r}{did_you_mean(name, _OPTIONS)}")


def _what(model: Any) -> str:
    return f"@broadcasts of {model.__name__}"
