"""Annotations as TypeScript, and events in a ``.d.ts`` file."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union
from uuid import UUID

import pydantic
import pytest

from soundpost.broadcasting.catalogue import describe, events_in
from soundpost.broadcasting.channels import Channel
from soundpost.broadcasting.event import Event
from soundpost.errors import ConfigurationError
from soundpost.tools.typescript import declarations
from soundpost.tools.typescript.types import Types
from soundpost.values.serializers import register_serializer, unregister_serializer
from support.command_line import CommandLine, command_line

__all__ = ["command_line"]

Anything = TypeVar("Anything")
Bound = TypeVar("Bound", bound=int)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, "string"),
        (int, "number"),
        (float, "number"),
        (bool, "boolean"),
        (None, "null"),
        (Any, "unknown"),
        (object, "unknown"),
        (UUID, "string"),
        (Decimal, "string"),
        (datetime, "string"),
        (date, "string"),
        (time, "string"),
        (timedelta, "number"),
        (Path, "string"),
        (Optional[int], "number | null"),  # noqa: UP045 - the old form is meant
        (Union[int, str, float], "number | string"),  # noqa: UP007
        (int | None, "number | null"),
        (list[int], "number[]"),
        (list[int | None], "(number | null)[]"),
        (list, "unknown[]"),
        (set[str], "string[]"),
        (Sequence[str], "string[]"),
        (tuple[int, ...], "number[]"),
        (tuple[int, str], "[number, string]"),
        (dict[str, int], "Record<string, number>"),
        (Mapping[int, list[str]], "Record<string, string[]>"),
        (dict, "Record<string, unknown>"),
        (Literal["a", 1, True, None], '"a" | 1 | true | null'),
        (Literal[Level.LOW], "1"),
        (Right, "number"),
        (Annotated[int, "positive"], "number"),
        (NewType("OrderId", int), "number"),
        (Anything, "unknown"),
        (Bound, "number"),
    ],
)
def test_annotations_become_types_of_typescript(annotation: Any, expected: str) -> None:
    assert Types().of(annotation) == expected


def test_enumerations_are_unions_with_a_name() -> None:
    types = Types()
    assert types.of(list[Level]) == "Level[]"
    assert types.declared == {"Level": "export type Level = 1 | 2;"}


@dataclasses.dataclass
class Node:
    children: list[Node]
    _secret: str = ""


def test_a_class_may_contain_itself_and_private_fields_stay_private() -> None:
    types = Types()
    assert types.of(Node) == "Node"
    assert types.declared == {"Node": "export interface Node {\n    children: Node[];\n}"}


class Point(NamedTuple):
    x: int


class Odd(TypedDict("Odd", {"content-type": str}), total=False):
    more: int


class Inner(pydantic.BaseModel):
    took: timedelta
    hidden: str = pydantic.Field(default="", exclude=True)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return 2


class Numbers(pydantic.RootModel[list[int]]):
    pass


def test_kinds_of_structures() -> None:
    types = Types()
    for kind in (Point, Odd, Inner, Numbers):
        types.of(kind)
    assert list(types.declared.values()) == [
        "export interface Point {\n    x: number;\n}",
        'export interface Odd {\n    "content-type": string;\n    more?: number;\n}',
        "export interface Inner {\n    took: string;\n    double: number;\n}",
        "export type Numbers = number[];",
    ]


def test_two_classes_of_one_name_are_told_apart() -> None:
    other = dataclasses.make_dataclass("Node", [("y", int)])
    clash = dataclasses.make_dataclass("Record", [("y", int)])
    types = Types()
    assert [types.of(kind) for kind in (Node, other, clash)] == ["Node", "Node2", "Record2"]


class Order:
    pass


class Customer:
    def __broadcast__(self) -> Point:
        return Point(1)


def test_a_registered_serializer_says_what_becomes_of_a_class() -> None:
    def order(order: Order) -> dict[str, int]:
        return {}

    try:
        register_serializer(Order, order)
        assert Types().of(Order) == "Record<string, number>"
        register_serializer(Order, Inner)
        assert Types().of(Order) == "Inner"
        register_serializer(Order, lambda order: {})
        assert Types().of(Order) == "unknown"
    finally:
        unregister_serializer(Order)
    assert Types().of(Customer) == "Point"


class Empty(Event, on=Channel("all")):
    pass


class Unreadable(Event, on=Channel("all")):
    good: int
    bad: NoSuchName  # type: ignore[name-defined] # noqa: F821


def test_one_annotation_that_cannot_be_read_spoils_no_other() -> None:
    assert describe(Unreadable).fields == {"good": int, "bad": Any}


def test_an_event_without_fields_is_an_object_without_any() -> None:
    assert "Empty: Record<string, never>;" in declarations([describe(Empty)])


def test_the_file_declares_channels_fields_and_comments() -> None:
    text = declarations(events_in(["support.shop_events"]), "soundpost types support.shop_events")
    assert text.startswith("// Written by 'soundpost types support.shop_events'")
    for part in (
        "        /** An order has left the house. On private-orders.{order_id}. */\n        OrderShipped: {\n",
        '        ".price.tick": {\n            symbol: string;\n            bid: string;\n',
        "        Paid: Totals;\n",
        "Its broadcast_with has no return annotation that says more: a TypedDict, or a dataclass. */\n"
        "        Loose: unknown;\n",
        "        /** On all, presence-staff. */\n        Closed: Record<string, never>;\n",
        '/** An invoice is paid. */\nexport interface InvoicePaid {\n    type: "InvoicePaid";\n    total: string;\n}',
        "// support.shop_events.ByField has no entry: its name depends on its fields.",
    ):
        assert part in text
    assert "ShopEvent" not in text


def test_events_of_a_package_are_found_in_its_modules_and_what_it_hands_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "webshop"
    package.mkdir()
    (package / "__init__.py").write_text("from support.shop_events import Closed, Paid\n__all__ = ['Closed']\n")
    (package / "more.py").write_text(
        "from soundpost import Channel, Event\nclass Opened(Event, on=Channel('all')):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [event.cls.__name__ for event in events_in(["webshop"])] == ["Closed", "Opened"]


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_events.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"broken_events cannot be imported: ZeroDivisionError"):
        events_in(["broken_events"])


@pytest.fixture
def project(command_line: CommandLine) -> Iterator[CommandLine]:
    """A directory with a module of events."""
    (command_line.directory / "my_events.py").write_text(
        "from soundpost import Channel, Event\nclass Opened(Event, on=Channel('doors.{door}')):\n    door: str\n"
    )
    before = sys.path[:]
    yield command_line
    sys.path[:] = before
    sys.modules.pop("my_events", None)


def test_the_command_writes_and_checks_a_file(project: CommandLine) -> None:
    file = project.directory / "events.d.ts"
    assert project.run("types", "my_events", "--output", "events.d.ts").stdout == "Wrote 1 event to events.d.ts\n"
    assert "Opened: {" in file.read_text()
    assert project.run("types", "my_events").stdout == file.read_text()
    assert project.run("types", "my_events", "-o", "events.d.ts", "--check").exit_code == 0
    file.write_text("")
    done = project.run("types", "my_events", "-o", "events.d.ts", "--check")
    assert done.exit_code == 1
    assert "events.d.ts is not up to date" in done.stderr
    assert file.read_text() == ""


def test_a_module_without_events_is_told(project: CommandLine) -> None:
    (project.directory / "nothing_here.py").write_text("")
    done = project.run("types", "nothing_here")
    assert done.exit_code == 1
    assert "no events in nothing_here" in done.stderr
    assert project.run("types", "my_events", "--check").exit_code == 2


def test_the_command_events_lists_them(project: CommandLine) -> None:
    assert project.run("events", "my_events").stdout.splitlines() == [
        "Opened  my_events.Opened",
        "    on    doors.{door}",
        "    with  door: str",
    ]


def test_modules_are_kept_apart_from_other_things_in_them() -> None:
    module = ModuleType("made_up")
    module.__dict__["number"] = 1
    sys.modules["made_up"] = module
    try:
        assert events_in(["made_up"]) == []
    finally:
        del sys.modules["made_up"]
