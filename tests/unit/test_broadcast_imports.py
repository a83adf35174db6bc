"""Imports run one way: broadcasting knows neither the client, nor the server, nor the libraries that carry events."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import soundpost

SOURCE = Path(soundpost.__file__).parent
FOREIGN = ("asgi", "backplane", "client", "config", "contrib", "core", "server", "testing", "tools")
EXEMPT = {"broadcasting/authorization/limits.py": {"soundpost.asgi.app"}}
"""The limits of an embedded server, which is loaded already if there is one."""


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


@pytest.mark.parametrize("folder", ["broadcasting", "values"])
def test_broadcasting_imports_what_is_below_it_only(folder: str) -> None:
    for file in (SOURCE / folder).rglob("*.py"):
        exempt = EXEMPT.get(file.relative_to(SOURCE).as_posix(), set())
        found = {name for name in imported(file) if name.startswith(tuple(f"soundpost.{each}" for each in FOREIGN))}
        assert found <= exempt, file


@pytest.mark.parametrize("folder", ["client", "values", "wire"])
def test_nothing_below_broadcasting_imports_it(folder: str) -> None:
    for file in (SOURCE / folder).rglob("*.py"):
        assert not [name for name in imported(file) if name.startswith("soundpost.broadcasting")], file
