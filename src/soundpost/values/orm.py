"""Objects of ORMs, recognised by their classes, without importing the libraries they come from."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def is_orm_object(value: Any) -> bool:
    """Return whether a value is a model of Django, SQLAlchemy, SQLModel, Tortoise, Peewee or Pony."""
    kind: Any = type(value)
    return hasattr(value, "_sa_instance_state") or _is_model(kind)


@lru_cache(maxsize=1_000)
def _is_model(kind: Any) -> bool:
    return (
        (hasattr(kind, "_meta") and (hasattr(kind, "objects") or hasattr(kind, "_default_manager")))
        or (hasattr(kind, "_meta") and hasattr(kind, "select"))
        or (hasattr(kind, "_meta") and hasattr(kind, "fetch_related"))
        or hasattr(kind, "_pk_columns_")
    )


def primary_key(value: Any) -> Any:
    """Return an ORM object's primary key: None before the object is saved, a tuple of several columns."""
    state = getattr(value, "_sa_instance_state", None)
    if state is not None:  # not by attribute: the column has any name, and reading one of a detached object fails
        columns = state.identity or state.mapper.primary_key_from_instance(value)
        return columns[0] if len(columns) == 1 else tuple(columns)
    kind = type(value)
    if hasattr(kind, "_pk_columns_"):  # Pony
        return value.get_pk()
    if hasattr(kind, "select"):  # Peewee
        return value.get_id()
    return value.pk  # Django, Tortoise
