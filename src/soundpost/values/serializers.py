"""The serializers that an application registers for its classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
Converter = Callable[[Any], Any]

_registered: dict[type, Converter] = {}


@overload
def register_serializer(kind: type, serializer: None = None) -> Callable[[T], T]: ...
@overload
def register_serializer(kind: type, serializer: T) -> T: ...
def register_serializer(kind: type, serializer: Any = None) -> Any:
    """Register the serializer by which objects of a class, and of its subclasses, are sent in events.

    ``serializer`` is a function from the object to a value that can be serialised, a pydantic model with
    ``from_attributes``, or a serializer class of Django REST framework. Without ``serializer``, decorate a function::

        @register_serializer(Order)
        def order(order: Order) -> dict: return {"id": order.pk, "status": order.status}

    Raises TypeError for what is not a class, and for what is not a serializer.
    """
    if not isinstance(kind, type):
        raise TypeError(
            f"register_serializer: {kind!r:.100} is not a class: give that of the objects, as in "
            "@register_serializer(Order)"
        )
    if serializer is None:
        return lambda function: _register(kind, function)
    _register(kind, serializer)
    return serializer


def unregister_serializer(kind: type) -> None:
    """Remove the serializer of a class."""
    _registered.pop(kind, None)


def _register(kind: type, serializer: Any) -> Any:
    if hasattr(serializer, "model_validate"):  # pydantic
        _registered[kind] = _validating(serializer)
    elif isinstance(serializer, type) and hasattr(serializer, "to_representation"):  # Django REST framework
        _registered[kind] = lambda value: dict(serializer(value).data)
    elif callable(serializer):
        _registered[kind] = serializer
    else:
        raise TypeError(f"serializer for {kind.__name__}: {serializer!r} is neither a function nor a serializer class")
    return serializer


def _validating(model: Any) -> Converter:
    def validate(value: Any) -> Any:
        return model.model_validate(value, from_attributes=True)

    validate.__annotations__["return"] = model  # for `soundpost types`
    return validate


def serializer_of(kind: type) -> Converter | None:
    """Return the function that serialises the objects of a class; None if no serializer is registered."""
    if not _registered:
        return None
    for each in kind.__mro__:
        if each in _registered:
            return _registered[each]
    return None
