"""What an event's fields become in JSON, and what is refused by name."""

from __future__ import annotations

import collections
import enum
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, NamedTuple, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from sqlmodel import Field, SQLModel

from soundpost import Broadcastable, register_serializer
from soundpost.broadcasting.composing import messages_for
from soundpost.broadcasting.serialization import to_json
from soundpost.errors import PayloadError
from soundpost.values.serializers import unregister_serializer


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Mood(enum.StrEnum):
    GOOD = "good"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Line:
    start: Point
    tags: set[str] = field(default_factory=set)
    _hidden: int = 0


@attrs.define
class Boxed:
    line: Line


class Packed(msgspec.Struct):
    boxed: Boxed


class Modelled(pydantic.BaseModel):
    at: datetime
    price: Decimal = pydantic.Field(serialization_alias="Price")


class Typed(TypedDict):
    id: int


class Text(str):
    __slots__ = ()


class Own:
    def __broadcast__(self) -> Any:
        return {"own": Colour.RED}


ID = UUID("12345678-1234-5678-1234-567812345678")
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        ("ä\u2028", "ä\u2028"),
        (Text("safe"), "safe"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=BERLIN), "2026-01-02T03:04:05+01:00"),
        (datetime(2026, 1, 2, 3, 4, 5, 600), "2026-01-02T03:04:05.000600"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4, tzinfo=UTC), "03:04:00+00:00"),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (ID, str(ID)),
        (Decimal("1.10"), "1.10"),
        (Colour.RED, "red"),
        (Size.LARGE, 3),
        (Mood.GOOD, "good"),
        (PurePosixPath("/a/b"), "/a/b"),
        ((1, [2]), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (Typed(id=7), {"id": 7}),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        ({ID: 1, 7: 2, Colour.RED: 3, date(2026, 1, 2): 4}, {str(ID): 1, "7": 2, "red": 3, "2026-01-02": 4}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Packed(Boxed(Line(Point(1, 2), {"t"}))), {"boxed": {"line": {"start": {"x": 1, "y": 2}, "tags": ["t"]}}}),
        (
            Modelled(at=datetime(2026, 1, 2, tzinfo=UTC), price=Decimal("1.1")),
            {"at": "2026-01-02T00:00:00Z", "price": "1.1"},
        ),
        (Own(), {"own": "red"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_values_become(value: Any, expected: Any) -> None:
    assert json.loads(to_json({"field": value}, "event 'x'")) == {"field": expected}


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
        ),
    )
)
def test_plain_json_is_left_as_it_is(value: Any) -> None:
    text = to_json(value, "x")
    assert json.loads(text) == value
    text.encode()


def refusal(value: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        to_json(value, "event 'OrderShipped' on private-orders.7")
    message = str(caught.value)
    assert message.startswith("event 'OrderShipped' on private-orders.7: ")
    assert caught.value.may_pass is False
    return message.removeprefix("event 'OrderShipped' on private-orders.7: ")


def test_the_field_is_named() -> None:
    assert refusal({"lines": [{"price": 1}, {"price": object()}]}).startswith(
        "lines[1].price: builtins.object has no form"
    )
    assert refusal(object()).startswith("its data: builtins.object has no form in JSON")
    assert refusal({"set": {Line}}).startswith("set[…]: ")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not(number: float) -> None:
    class Measured(float):
        pass

    class Model(pydantic.BaseModel):
        value: float

    for value in (number, Measured(number)):
        assert refusal({"value": value}) == f"value: {number} has no form in JSON"
    assert refusal({"model": Model(value=number)}) == f"model.value: {number} has no form in JSON"


def test_half_a_surrogate_pair() -> None:
    assert refusal({"name": "\ud83d"}) == "name: a half of a surrogate pair is not Unicode text"
    assert refusal({"\ud83d": 1}).startswith("its data: the key '\\ud83d' is not text")


def test_cycles_and_depth() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    assert "nested more than 100 deep; does it contain itself?" in refusal(cycle)

    class Endless:
        def __broadcast__(self) -> Any:
            return self

    assert "does it contain itself?" in refusal(Endless())


@pytest.mark.parametrize("key", [None, 1.5, (1, 2), True, b"x"])
def test_keys_that_are_no_text(key: Any) -> None:
    assert refusal({"map": {key: 1}}) == f"map: the key {key!r} is not text"


@pytest.mark.parametrize("value", [b"x", bytearray(b"x"), object(), iter([1]), lambda: 1, Line, 1j, ValueError("x")])
def test_what_has_no_obvious_form(value: Any) -> None:
    assert "has no form in JSON: give it one with register_serializer, or send its fields" in refusal({"value": value})


def test_pydantic_models_with_what_pydantic_cannot_serialise() -> None:
    class Model(pydantic.BaseModel, arbitrary_types_allowed=True):
        thing: object

    assert refusal({"model": Model(thing=object())}).startswith("model: Model: Unable to serialize unknown type")


# ORM objects


class Alike(type):
    """A metaclass that calls all its classes equal."""

    def __eq__(cls, other: object) -> bool:
        return isinstance(other, Alike)

    def __hash__(cls) -> int:
        return 1


def test_classes_that_a_metaclass_calls_equal_have_fields_of_their_own() -> None:
    @dataclass
    class Height(metaclass=Alike):
        metres: int

    @dataclass
    class Weight(metaclass=Alike):
        kilograms: int

    assert to_json([Height(2), Weight(80)], "x") == '[{"metres":2},{"kilograms":80}]'


class Base(DeclarativeBase):
    pass


class DataclassBase(MappedAsDataclass, DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    password: Mapped[str]


class DataclassUser(DataclassBase):
    __tablename__ = "dataclass_users"
    id: Mapped[int] = mapped_column(primary_key=True)
    password: Mapped[str]


class SqlModelUser(SQLModel, table=True):  # type: ignore[call-arg]
    id: int = Field(primary_key=True)
    password: str


@pytest.fixture(scope="module")
def django_user() -> Any:
    import django
    from django.apps import apps
    from django.conf import settings

    if not settings.configured:
        settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
    if not apps.ready:
        django.setup()
    from django.db import models

    class Customer(models.Model):
        password = models.CharField(max_length=9)

        class Meta:
            app_label = "soundpost_tests"

    return Customer(pk=1, password="hash")


USERS: dict[str, Callable[[], Any]] = {
    "sqlalchemy": lambda: User(id=1, password="hash"),
    "sqlalchemy dataclass": lambda: DataclassUser(id=1, password="hash"),
    "sqlmodel": lambda: SqlModelUser(id=1, password="hash"),
}


@pytest.fixture(params=[*USERS, "django"])
def orm_object(request: pytest.FixtureRequest) -> Any:
    if request.param == "django":
        return request.getfixturevalue("django_user")
    return USERS[request.param]()


def test_orm_objects_are_never_sent_whole(orm_object: Any) -> None:
    name = type(orm_object).__name__
    message = refusal({"order": {"users": [orm_object]}})
    assert message.startswith(f"order.users[0]: {name} is an ORM object, and is never sent whole")
    assert f"register_serializer({name}, …) or a method __broadcast__" in message
    assert "hash" not in message


def test_orm_objects_within_dataclasses_and_models_are_found(orm_object: Any) -> None:
    @dataclass
    class Holder:
        user: Any

    class Model(pydantic.BaseModel, arbitrary_types_allowed=True):
        user: Any

    class Event(pydantic.BaseModel, Broadcastable, on="users"):
        holders: dict[str, list[Any]]

    name = type(orm_object).__name__
    assert refusal(Holder(orm_object)).startswith(f"user: {name} is an ORM object, and is never sent whole")
    message = refusal({"model": Model(user=[Holder(orm_object)])})
    assert message.startswith(f"model.user[0].user: {name} is an ORM object, and pydantic would send all of it")
    with pytest.raises(PayloadError, match=r"event Event: holders\.a\[0\]\.user: .* is an ORM object"):
        messages_for(Event(holders={"a": [Model(user=orm_object)]}), None, [""])


def test_pydantic_models_that_say_what_an_orm_object_is(orm_object: Any) -> None:
    class BySerializer(pydantic.BaseModel, arbitrary_types_allowed=True):
        user: Any
        excluded: Any = pydantic.Field(exclude=True)
        annotated: Annotated[Any, pydantic.PlainSerializer(lambda user: "annotated")]

        @pydantic.field_serializer("user")
        def _user(self, user: Any) -> str:
            return "serialised"

    class Whole(pydantic.BaseModel):
        user: Any

        @pydantic.model_serializer
        def _whole(self) -> dict[str, Any]:
            return {"whole": 1}

    model = BySerializer(user=orm_object, excluded=orm_object, annotated=orm_object)
    assert json.loads(to_json([model, Whole(user=orm_object)], "x")) == [
        {"user": "serialised", "annotated": "annotated"},
        {"whole": 1},
    ]


def test_an_orm_object_that_is_an_event_itself_is_not_dumped_either() -> None:
    class Account(Base, Broadcastable):
        __tablename__ = "accounts"
        id: Mapped[int] = mapped_column(primary_key=True)
        password: Mapped[str]

        def broadcast_on(self) -> str:
            return "accounts"

    account = Account(id=1, password="hash")
    with pytest.raises(PayloadError, match="event 'Account' on accounts: its data: Account is an ORM object"):
        messages_for(account, None, [""])


@pytest.fixture
def registered(orm_object: Any) -> Iterator[Any]:
    yield orm_object
    unregister_serializer(type(orm_object))


def test_a_function_says_what_an_orm_object_is(registered: Any) -> None:
    @register_serializer(type(registered))
    def user(user: Any) -> Any:
        return {"id": user.id if hasattr(user, "id") else user.pk, "at": date(2026, 1, 2)}

    assert to_json([registered], "x") == '[{"id":1,"at":"2026-01-02"}]'


def test_a_pydantic_model_says_what_an_orm_object_is(registered: Any) -> None:
    class Public(pydantic.BaseModel):
        id: int

    assert register_serializer(type(registered), Public) is Public
    assert to_json([registered], "x") == '[{"id":1}]'


def test_a_django_rest_framework_serializer_says_what_an_object_is() -> None:
    class Serializer:
        """As those of DRF."""

        def __init__(self, value: Any) -> None:
            self.data = self.to_representation(value)

        def to_representation(self, value: Any) -> dict[str, Any]:
            return {"x": value.x}

    class Thing:
        x = 1

    class Special(Thing):
        x = 2

    register_serializer(Thing, Serializer)
    try:
        assert to_json([Thing(), Special()], "x") == '[{"x":1},{"x":2}]'
    finally:
        unregister_serializer(Thing)
    assert "has no form" in refusal(Thing())


def test_a_serializer_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="serializer for Own: 7 is neither a function nor a serializer class"):
        register_serializer(Own, 7)


@pytest.mark.parametrize("given", [lambda order: {}, "Order", list[int]])
def test_a_serializer_belongs_to_a_class(given: Any) -> None:
    with pytest.raises(TypeError, match="is not a class: give that of the objects, as in @register_serializer"):
        register_serializer(given)


def test_djangos_lazy_translations_are_text(django_user: Any) -> None:
    from django.utils.functional import lazystr
    from django.utils.safestring import mark_safe

    assert to_json([lazystr("hello"), mark_safe("<b>")], "x") == '["hello","<b>"]'
