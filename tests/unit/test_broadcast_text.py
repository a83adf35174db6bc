"""The text of values in names of channels and events, in ids of users, and in keys of JSON."""

from __future__ import annotations

import json
from collections import UserString
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum, auto
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.utils.functional import SimpleLazyObject, lazy
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from werkzeug.local import LocalProxy

from soundpost import Channel, Event, PrivateChannel, UserChannel, UserNotification
from soundpost.broadcasting import Broadcaster, broadcast
from soundpost.broadcasting.authorization.users import id_of
from soundpost.broadcasting.channels import names_of
from soundpost.broadcasting.composing import compose, messages_for
from soundpost.broadcasting.serialization import to_json
from soundpost.broadcasting.settings import BroadcastSettings
from soundpost.client import with_secret
from soundpost.errors import PayloadError, RouteError
from soundpost.pusher.calls import Calls
from soundpost.values.serializers import register_serializer, unregister_serializer
from soundpost.values.text import text_of, user_id_of


class Status(str, Enum):  # noqa: UP042 - the form whose str() is not its value
    PAID = "paid"


class Plain(Enum):
    PAID = "paid"
    NESTED = Status.PAID
    NONE = None
    EMPTY = ""
    BYTES = b"paid"
    PAIR = (1, 2)
    TRUE = True
    RATIO = 1.5


class Modern(StrEnum):
    PAID = auto()


class Number(IntEnum):
    SEVEN = 7


class Rights(IntFlag):
    READ = 4
    WRITE = 2


class Shouting(str):
    def __str__(self) -> str:
        return self.upper()


@dataclass
class Order:
    id: Any
    note: str = "internal"


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    """Its primary key is not called id, and it has a user's."""

    __tablename__ = "invoices"
    number: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(default=3)


class Line(Base):
    __tablename__ = "lines"
    invoice: Mapped[int] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)


class Sku:
    def __broadcast__(self) -> str:
        return "A-1"


class Money:
    pass


class Wrapping:
    """As wrapt's ObjectProxy and lazy-object-proxy are."""

    __slots__ = ("__wrapped__",)

    def __init__(self, wrapped: Any) -> None:
        self.__wrapped__ = wrapped

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self.__wrapped__)


class LazyString:
    """As Flask-Babel's."""

    def __str__(self) -> str:
        return "paid"

    def __getattr__(self, name: str) -> Any:
        return getattr(str(self), name)


class LazyProxy:
    """As Babel's."""

    value = "paid"


ID = UUID("12345678-1234-5678-1234-567812345678")
translated = lazy(lambda text: text, str)

TEXTS: dict[str, tuple[Callable[[], Any], str]] = {
    "text": (lambda: "paid", "paid"),
    "text enumeration": (lambda: Status.PAID, "paid"),
    "enumeration": (lambda: Plain.PAID, "paid"),
    "enumeration of an enumeration": (lambda: Plain.NESTED, "paid"),
    "StrEnum": (lambda: Modern.PAID, "paid"),
    "IntEnum": (lambda: Number.SEVEN, "7"),
    "IntFlag": (lambda: Rights.READ | Rights.WRITE, "6"),
    "integer": (lambda: 2**63, "9223372036854775808"),
    "zero": (lambda: 0, "0"),
    "negative": (lambda: -7, "-7"),
    "markup": (lambda: Markup("paid"), "paid"),
    "text that shows itself otherwise": (lambda: Shouting("paid"), "paid"),
    "UserString": (lambda: UserString("paid"), "paid"),
    "UUID": (lambda: ID, str(ID)),
    "Decimal": (lambda: Decimal("1.50"), "1.50"),
    "date": (lambda: date(2026, 1, 2), "2026-01-02"),
    "datetime": (lambda: datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    "time": (lambda: time(1, 2), "01:02:00"),
    "path": (lambda: PurePosixPath("a/b"), "a/b"),
    "object with id": (lambda: Order(7), "7"),
    "object with a UUID": (lambda: Order(ID), str(ID)),
    "object whose id is an enumeration": (lambda: Order(Plain.PAID), "paid"),
    "object with pk and id": (lambda: SimpleNamespace(pk=7, id=8), "7"),
    "SQLAlchemy's": (lambda: Invoice(number=7), "7"),
    "with __broadcast__": (Sku, "A-1"),
    "local proxy": (lambda: LocalProxy(lambda: Status.PAID), "paid"),
    "lazy object": (lambda: SimpleLazyObject(lambda: Order(7)), "7"),
    "lazy object in a local proxy": (lambda: LocalProxy(lambda: SimpleLazyObject(lambda: Order(7))), "7"),
    "wrapping proxy": (lambda: Wrapping(Order(7)), "7"),
    "lazy string": (LazyString, "paid"),
    "lazy proxy": (LazyProxy, "paid"),
    "translation": (lambda: translated("paid"), "paid"),
}
NO_TEXTS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "empty": lambda: "",
    "bytes": lambda: b"paid",
    "bytearray": lambda: bytearray(b"paid"),
    "bool": lambda: True,
    "float": lambda: 1.5,
    "NaN": lambda: float("nan"),
    "Decimal NaN": lambda: Decimal("NaN"),
    "complex": lambda: 1j,
    "object": object,
    "list": lambda: ["paid"],
    "tuple": lambda: (1, 2),
    "mapping": lambda: {"name": "ann"},
    "function": lambda: len,
    "class": lambda: Order,
    "enumeration itself": lambda: Status,
    "id None": lambda: Order(None),
    "id empty": lambda: Order(""),
    "id bytes": lambda: Order(b"7"),
    "id a method": lambda: Order(len),
    "id of itself": lambda: _knot(),
    "not saved": Invoice,
    "two keys": lambda: Line(invoice=1, position=2),
    "lazy None": lambda: SimpleLazyObject(lambda: None),
    "translation that is empty": lambda: translated(""),
    "half an emoji": lambda: "\ud83d",
    "too many digits": lambda: 10**5000,
    "enumeration of None": lambda: Plain.NONE,
    "enumeration of empty": lambda: Plain.EMPTY,
    "enumeration of bytes": lambda: Plain.BYTES,
    "enumeration of a pair": lambda: Plain.PAIR,
    "enumeration of a bool": lambda: Plain.TRUE,
    "enumeration of a float": lambda: Plain.RATIO,
}


def _knot() -> Any:
    order = Order(None)
    order.id = order
    return order


@pytest.mark.parametrize("case", TEXTS)
class TestTexts:
    def test_the_text(self, case: str) -> None:
        make, text = TEXTS[case]
        assert text_of(make(), "here") == text

    def test_in_a_channel(self, case: str) -> None:
        make, text = TEXTS[case]

        class Changed(Event, on=PrivateChannel("orders.{value}")):
            value: Any

            def broadcast_with(self) -> Any:
                return {}

        assert PrivateChannel(make()).name == f"private-{text}"
        assert PrivateChannel("orders.{value}").filled({"value": make()}).name == f"private-orders.{text}"
        if set(text) <= set("abcdefghijklmnopqrstuvwxyzA0123456789-._"):
            assert messages_for(Changed(make()), None, [""])[0].channels == (f"private-orders.{text}",)

    def test_of_a_user(self, case: str) -> None:
        make, text = TEXTS[case]
        if isinstance(make(), Invoice):
            assert user_id_of(make()) == text
        assert id_of(make()) == text
        assert UserChannel(make()).name == f"#server-to-user-{text}"
        assert with_secret("key", "secret", user_id=make()).user_id == text

        class Told(UserNotification):
            pass

        if set(text) <= set("abcdefghijklmnopqrstuvwxyzA0123456789-._"):
            assert names_of(_on(Told(user_id=make()))) == [f"private-App.Models.User.{text}"]


def _is_an_object(case: str) -> bool:
    return isinstance(TEXTS[case][0](), Order | Invoice | SimpleNamespace) or "lazy object" in case


def _is_hashable(case: str) -> bool:
    try:
        hash(TEXTS[case][0]())
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("case", [case for case in TEXTS if not _is_an_object(case)])
def test_a_channel_and_its_data_say_the_same(case: str) -> None:
    make, text = TEXTS[case]
    assert str(json.loads(to_json({"value": make()}, "event"))["value"]) == text


@pytest.mark.parametrize("case", [case for case in TEXTS if _is_hashable(case)])
def test_in_a_key(case: str) -> None:
    make, text = TEXTS[case]
    assert json.loads(to_json({make(): 1}, "event")) == {text: 1}


def _on(event: Any) -> Any:
    with broadcast.pinned(BroadcastSettings()):
        return event.broadcast_on()


@pytest.mark.parametrize("case", NO_TEXTS)
class TestNoText:
    def test_it_is_refused_by_name_of_the_field(self, case: str) -> None:
        with pytest.raises(PayloadError, match=r"^here: "):
            text_of(NO_TEXTS[case](), "here")

    def test_in_a_channel(self, case: str) -> None:
        class Changed(Event, on=PrivateChannel("orders.{value}")):
            value: Any

        with pytest.raises(PayloadError, match="PrivateChannel's name: "):
            PrivateChannel(NO_TEXTS[case]())
        where = r"event Changed: its channel cannot be named: channel 'private-orders\.\{value\}': value: "
        with pytest.raises(PayloadError, match=where):
            messages_for(Changed(NO_TEXTS[case]()), None, [""])

    def test_of_a_user(self, case: str) -> None:
        with pytest.raises(RouteError):
            id_of(NO_TEXTS[case]())
        with pytest.raises(PayloadError, match="UserChannel's user: "):
            UserChannel(NO_TEXTS[case]())


class TestNames:
    """``publish(channels, name)``: what is one channel is never taken for several, and the reverse."""

    @pytest.mark.parametrize(
        "channels",
        [
            Status.PAID,
            Plain.PAID,
            translated("paid"),
            UserString("paid"),
            LocalProxy(lambda: "paid"),
            LocalProxy(lambda: Channel("paid")),
            ["paid", Status.PAID, translated("paid"), Channel(Plain.PAID)],
            {Status.PAID},
            (each for each in ("paid", "paid")),
        ],
    )
    def test_channels(self, channels: Any) -> None:
        assert names_of(channels) == ["paid"]

    @pytest.mark.parametrize("channels", [translated("paid"), Status.PAID, LocalProxy(lambda: ["paid"])])
    def test_channels_of_the_sdk(self, channels: Any) -> None:
        assert Calls("", None).trigger(channels, "tick", {}, None).body["channels"] == ["paid"]  # type: ignore[index]

    @pytest.mark.parametrize("channels", [None, 7, b"paid", {"paid": 1}, Order(7), [None], [b"paid"], [""], [["paid"]]])
    def test_no_channels(self, channels: Any) -> None:
        with pytest.raises(PayloadError, match="event 'tick': "):
            compose(channels, "tick", {}, None, [""])

    @pytest.mark.parametrize("name", [Status.PAID, Plain.PAID, Modern.PAID, translated("paid"), Markup("paid")])
    def test_names_of_events(self, name: Any) -> None:
        message = compose("orders", name, {}, None, [""])[0]
        assert (message.name, type(message.name)) == ("paid", str)
        with Broadcaster().fake() as sent:
            sent.record([message], None, pending=False)
            assert sent.assert_broadcast(name, on=LocalProxy(lambda: "orders")).name == "paid"  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", [None, 7, b"paid", Plain.NONE, Plain.BYTES, translated(""), Order("paid")])
    def test_no_names_of_events(self, name: Any) -> None:
        with pytest.raises(PayloadError, match="an event's name is a text of 1 to 200 characters"):
            compose("orders", name, {}, None, [""])


class TestUsers:
    @pytest.mark.parametrize(
        ("user", "user_id"),
        [
            ({"sub": 7}, "7"),
            ({"id": None, "sub": "ann"}, "ann"),
            (SimpleNamespace(user_id=ID), str(ID)),
            (SimpleNamespace(username=translated("ann")), "ann"),
            (SimpleNamespace(get_id=lambda: 7), "7"),
            (LocalProxy(lambda: {"id": 7}), "7"),
        ],
    )
    def test_a_user_channel_has_the_id_of_its_user(self, user: Any, user_id: str) -> None:
        assert id_of(user) == user_id
        assert UserChannel(user).name == f"#server-to-user-{user_id}"

    def test_a_channel_is_not_named_after_whom_an_object_belongs_to(self) -> None:
        with pytest.raises(PayloadError, match="no pk or id"):
            Channel(SimpleNamespace(user_id=7))


def test_a_key_is_known_without_asking_the_database() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        invoice = Invoice(number=7)
        session.add(invoice)
        session.commit()  # its attributes have expired, and are out of reach once it is detached
    assert Channel(invoice).name == "7"


def test_what_is_registered_counts() -> None:
    register_serializer(Money, lambda money: "12-EUR")
    try:
        assert Channel(Money()).name == "12-EUR"
    finally:
        unregister_serializer(Money)


class Snowflake(int):
    def __broadcast__(self) -> str:
        return str(int(self))


def test_an_id_that_javascript_cannot_count_may_be_text() -> None:
    event_id = Snowflake(2**53 + 1)
    assert (
        to_json({"id": event_id, "ids": [event_id]}, "event") == '{"id":"9007199254740993","ids":["9007199254740993"]}'
    )
    assert PrivateChannel(event_id).name == "private-9007199254740993"
    assert id_of(event_id) == id_of(2**53 + 1) == "9007199254740993"


def test_two_keys_never_become_one() -> None:
    with pytest.raises(PayloadError, match="event: totals: two keys become '1' in JSON"):
        to_json({"totals": {1: "a", "1": "b"}}, "event")


def test_no_secret_of_an_object_is_shown() -> None:
    class Account:
        def __repr__(self) -> str:
            return "hunter2"

    with pytest.raises(PayloadError) as caught:
        Channel(Account())
    assert "hunter2" not in str(caught.value)


class TestSets:
    @pytest.mark.parametrize(
        ("values", "sent"),
        [
            ({2, 10, 9}, [2, 9, 10]),
            ({2.5, 10, Decimal("9")}, [2.5, "9", 10]),
            ({Decimal("10"), Decimal("9")}, ["9", "10"]),
            ({"b", "a", 10, 9}, [9, 10, "a", "b"]),
            ({None, "a", 2, 10}, [2, 10, "a", None]),
            ({Number.SEVEN, 10, 2}, [2, 7, 10]),
            ({Plain.PAID, Plain.TRUE}, [True, "paid"]),
            ({(10,), (9,)}, [[9], [10]]),
            ({date(2026, 1, 2), date(2025, 12, 31)}, ["2025-12-31", "2026-01-02"]),
            ({frozenset({2}), frozenset({1}), frozenset({1, 2})}, [[1], [2], [1, 2]]),
        ],
    )
    def test_they_are_sorted_as_values(self, values: Any, sent: list[Any]) -> None:
        assert json.loads(to_json(values, "event")) == sent

    @given(st.sets(st.none() | st.integers() | st.text("ab") | st.floats(allow_nan=False, allow_infinity=False)))
    def test_the_order_is_always_the_same(self, values: set[Any]) -> None:
        other: set[Any] = set()
        for each in sorted(values, key=repr, reverse=True):
            other.add(each)
        assert to_json(values, "event") == to_json(other, "event")


@given(st.integers() | st.text(min_size=1).filter(lambda text: text.isascii()) | st.uuids() | st.dates())
def test_names_and_data_say_the_same(value: Any) -> None:
    assert text_of(value, "here") == str(json.loads(to_json([value], "event"))[0])
