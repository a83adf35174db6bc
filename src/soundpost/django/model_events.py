"""Models that broadcast what happens to them.

@broadcasts(on=lambda order, event: PrivateChannel(f"orders.{order.pk}"), fields=["id", "status"])
class Order(models.Model): ...

The browser gets ``OrderCreated``, ``OrderUpdated``, ``OrderDeleted`` with ``{"model": {"id": 7, "status": "paid"}}``,
as Laravel's ``useEchoModel`` expects it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from django.db.models import FileField
from django.db.models.signals import post_delete, post_save

from soundpost.broadcasting import broadcast
from soundpost.broadcasting.channels import Channel, ChannelLike, names_of, several
from soundpost.broadcasting.event import Broadcastable
from soundpost.django.transactions import commit_of
from soundpost.errors import ConfigurationError

ModelEventName = Literal["created", "updated", "deleted"]
Channels = ChannelLike | Iterable[ChannelLike] | None
ModelType = TypeVar("ModelType", bound=type)

EVENTS: Final[tuple[ModelEventName, ...]] = ("created", "updated", "deleted")
_silent: ContextVar[bool] = ContextVar("soundpost_silent", default=False)


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a model broadcasts."""

    on: Callable[[Any, str], Channels] | Channels
    fields: tuple[str, ...]
    events: tuple[str, ...]
    name: str
    options: dict[str, Any]


_rules: Final[dict[type, _Rule]] = {}


class ModelEvent(Broadcastable):
    """What happened to an object: ``instance`` and ``event``."""

    def __init__(self, instance: Any, event: ModelEventName, using: str | None = None) -> None:
        self.instance = instance
        self.event = event
        self._using = using
        self._rule = _rule_of(type(instance))

    def broadcast_on(self) -> Channels:  # type: ignore[override]
        """What ``on`` says of it."""
        on = self._rule.on
        if not callable(on):
            return [_filled(each, self.instance) for each in several(on or ())]
        return on(self.instance, self.event)

    def broadcast_as(self) -> str:
        """``OrderUpdated``."""
        return _name(self._rule.name, type(self.instance), self.event)

    def broadcast_with(self) -> Any:
        """``{"model": {…}}`` with the fields that were named, and no other."""
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

    ``on`` is a function ``(object, event)`` that gives a channel, several or none; or channels, with
    ``{attribute}`` in their names. ``fields`` are those that browsers may see. ``name`` is made with ``{model}``,
    ``{event}`` and ``{Event}``. ``options`` are those of :func:`soundpost.broadcast`: ``to_others``, ``via``,
    ``on_error`` (``log`` here, if nothing else is said: who saves an object is not to fail over this).

    Django has no signals for ``bulk_create``, ``bulk_update`` and ``QuerySet.update``, nor for fixtures here: see
    :func:`broadcast_models`. Raises ConfigurationError.
    """
    wanted = (fields,) if isinstance(fields, str) else tuple(fields)
    which = (events,) if isinstance(events, str) else tuple(events)

    def decorate(model: ModelType) -> ModelType:
        _check(model, wanted, which, name)
        _rules[model] = _Rule(on, wanted, which, name, {"on_error": "log", **options})
        uid = f"soundpost.{model.__module__}.{model.__qualname__}"
        if {"created", "updated"} & set(which):
            post_save.connect(_saved(which), sender=model, weak=False, dispatch_uid=uid)
        if "deleted" in which:
            post_delete.connect(_deleted, sender=model, weak=False, dispatch_uid=uid)
        return model

    return decorate


@contextmanager
def without_broadcasting() -> Iterator[None]:
    """No model broadcasts in this block: for imports, migrations, tests."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def broadcast_models(objects: Iterable[Any], event: ModelEventName) -> None:
    """Broadcast for objects that were changed without signals: a queryset, or what ``bulk_create`` returned.

    All of them together, in as few requests as the server takes. Raises ConfigurationError for other models than those
    that ``@broadcasts`` decorates.
    """
    if event not in EVENTS:
        raise ConfigurationError(f"broadcast_models: {event!r} is no event of models: {', '.join(EVENTS)}")
    found = list(objects)
    if not found:
        return
    with commit_of(_database_of(found[0])), broadcast.batch():
        for each in found:
            _broadcast(each, event, _database_of(each))


def described_models() -> Iterator[str]:
    """The events of models in words, as ``soundpost events`` has those of classes."""
    for model, rule in _rules.items():
        names = ", ".join(_name(rule.name, model, event) for event in rule.events)
        where = "(said by a function)" if callable(rule.on) else ", ".join(names_of(rule.on or ()))
        yield f"{names}  {model.__module__}.{model.__qualname__}"
        yield f"    on    {where}"
        yield f"    with  model: {', '.join(rule.fields)}"


def _saved(events: tuple[str, ...]) -> Callable[..., None]:
    def saved(*, instance: Any, created: bool, raw: bool, using: str, **_: Any) -> None:
        event: ModelEventName = "created" if created else "updated"
        if not raw and event in events:
            _broadcast(instance, event, using)

    return saved


def _deleted(*, instance: Any, using: str, **_: Any) -> None:
    _broadcast(instance, "deleted", using)


def _broadcast(instance: Any, event: ModelEventName, using: str) -> None:
    if _silent.get():
        return
    made = ModelEvent(instance, event, using)
    with commit_of(using):
        broadcast(made, **made._rule.options)


def _name(template: str, model: Any, event: str) -> str:
    return template.format(model=model._meta.object_name, event=event, Event=event.capitalize())


def _filled(channel: ChannelLike, instance: Any) -> Channel:
    made = channel if isinstance(channel, Channel) else Channel(channel)
    return made.filled({name: getattr(instance, name) for name in made.placeholders})


def _database_of(instance: Any) -> str:
    return str(instance._state.db or "default")


def _rule_of(model: type) -> _Rule:
    for each in model.__mro__:  # a class of deferred fields, a proxy
        if each in _rules:
            return _rules[each]
    raise ConfigurationError(f"{model.__name__} does not broadcast: decorate it with @broadcasts(on=…, fields=[…])")


def _check(model: Any, fields: tuple[str, ...], events: tuple[str, ...], name: str) -> None:
    what = f"@broadcasts of {model.__name__}"
    meta = getattr(model, "_meta", None)
    if meta is None or meta.abstract:
        raise ConfigurationError(f"{what}: it is no model with a table; decorate the models that are derived from it")
    if not fields:
        raise ConfigurationError(f"{what}: fields is empty: name the fields that browsers may see, ['id'] at least")
    known = {"pk", *(each.name for each in meta.concrete_fields), *(each.attname for each in meta.concrete_fields)}
    for field in fields:
        if field not in known:
            raise ConfigurationError(f"{what}: {field!r} is no field of it; there are {', '.join(sorted(known))}")
    for event in events:
        if event not in EVENTS:
            raise ConfigurationError(f"{what}: {event!r} is no event of models: {', '.join(EVENTS)}")
    try:
        _name(name, model, "created")
    except (KeyError, IndexError, ValueError):
        raise ConfigurationError(f"{what}: name {name!r} may have {{model}}, {{event}} and {{Event}} in it") from None
