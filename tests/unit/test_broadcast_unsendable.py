"""Values that have no form in JSON: the message says which call was meant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, select
from sqlalchemy.orm import Session

from soundpost.broadcasting.serialization import to_json
from soundpost.errors import PayloadError


def refusal(value: Any) -> str:
    with pytest.raises(PayloadError) as caught:
        to_json({"value": value}, "event")
    text = str(caught.value)
    assert text.startswith("event: value: ")
    assert "has no form in JSON" in text
    return text


async def nothing() -> None: ...


def numbers() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ({1: 2}.values(), "make it a list: list(…)"),
        ({1: 2}.keys(), "make it a list: list(…)"),
        (range(3), "make it a list: list(…)"),
        (numbers(), "make it a list: list(…)"),
        (map(str, [1]), "make it a list: list(…)"),
        (b"x", "decode it to text, or send it as base64"),
        (numbers, "it is a function: call it"),
        ("x".upper, "it is a function: call it"),
        (Session, "it is a class: one of its objects is meant"),
    ],
)
def test_what_python_has(value: Any, call: str) -> None:
    assert refusal(value).endswith(call)


async def test_what_was_not_awaited() -> None:
    coroutine, future = nothing(), asyncio.get_running_loop().create_future()
    assert refusal(coroutine).endswith("await it first")
    assert refusal(future).endswith("await it first")
    await coroutine


def test_rows_of_sqlalchemy() -> None:
    table = Table("orders", metadata := MetaData(), Column("id", Integer, primary_key=True))
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(table.insert().values(id=7))
        result = session.execute(select(table))
        assert "[dict(row) for row in result.mappings()]" in refusal(result)
        row = session.execute(select(table)).one()
        assert "dict(row._mapping)" in refusal(row)
        assert to_json(dict(row._mapping), "event") == '{"id":7}'
        assert "read it with .all()" in refusal(session.scalars(select(table)))
        assert "execute it" in refusal(select(table))
