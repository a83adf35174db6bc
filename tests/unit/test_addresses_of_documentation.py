"""Messages point to pages of the documentation that the user of an installed package can open."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from soundpost import documentation
from support.pages import DOCS, ROOT, anchors

PACKAGE: Final = ROOT / "src/soundpost"
PLAIN_ADDRESS: Final = re.compile(re.escape(documentation.SITE) + r"([\w/-]*)(?:#([\w-]+))?")


def test_no_text_of_the_package_names_a_file_of_the_repository() -> None:
    named = [
        f"{file.relative_to(PACKAGE)}: {text}"
        for file in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.html")]
        for text in re.findall(r"docs/[a-z-]+\.md|README\.md|CHANGELOG\.md", file.read_text())
    ]
    assert named == []


def test_every_page_that_a_message_names_is_there() -> None:
    found = sorted(addresses())
    assert len(found) >= 5
    assert [address for address in found if not exists(*address[1:])] == []


def test_the_address_of_a_page_and_of_a_section() -> None:
    assert documentation.page("django") == f"{documentation.SITE}django/"
    assert documentation.page("quickstart/django", "start-it") == f"{documentation.SITE}quickstart/django/#start-it"


def addresses() -> Iterator[tuple[str, str, str]]:
    """Yield file, page and section (or "") of every address in the package, except those that are made at run time."""
    for file in PACKAGE.rglob("*.py"):
        if file.name == "documentation.py":
            continue
        where = str(file.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "page":
                given = [part.value for part in node.args if isinstance(part, ast.Constant)]
                if given and len(given) == len(node.args):
                    yield where, str(given[0]), str(given[1]) if len(given) > 1 else ""
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name, section in PLAIN_ADDRESS.findall(node.value):
                    yield where, name.rstrip("/"), section


def exists(name: str, section: str) -> bool:
    file: Path = DOCS / f"{name or 'README'}.md"
    return file.exists() and (not section or section in anchors(file))
