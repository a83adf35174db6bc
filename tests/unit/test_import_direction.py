"""Imports run one way: from tools and doors down to the protocol, never back; and nowhere in a circle."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Final, Literal, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src" / "soundpost"

DOORS: Final = frozenset({"asgi", "contrib", "django", "fastapi", "flask", "litestar", "pusher", "quart", "starlette"})
"""Packages for applications. ``testing`` and ``client`` are public too, with rules of their own."""
PUBLIC: Final = DOORS | {"client", "testing", "webhooks"}
ROOT_MODULES: Final = "root modules"
"""Modules that lie directly in ``src/soundpost``, such as ``errors``."""
SHARED: Final = frozenset({ROOT_MODULES, "environment", "values", "wire"})
SERVER: Final = frozenset({"server", "backplane", "config", "core"}) | SHARED

MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    ROOT_MODULES: SHARED,
    "environment": SHARED,
    "values": SHARED,
    "wire": SHARED,
    "core": SHARED,
    "config": SHARED | {"core"},
    "backplane": SHARED | {"core", "config"},
    "server": SERVER,
    "broadcasting": SHARED | {"config"},
    "webhooks": SHARED | {"broadcasting"},
    "client": SHARED,
    "tools": SERVER | {"broadcasting", "client", "soundpost", "webhooks"},
    "soundpost": frozenset({"broadcasting", "environment", "values", "webhooks", ROOT_MODULES}),
    **dict.fromkeys(DOORS, SHARED | DOORS | {"broadcasting", "config", "webhooks"}),
    "asgi": SERVER | {"broadcasting", "webhooks"},
    "testing": SERVER | DOORS | {"broadcasting", "client", "webhooks"},
}
"""For each part of the package the other parts that it may import; ``soundpost`` is the package's own ``__init__``."""

_BELOW_THE_SERVER: Final = tuple(f"soundpost.server.{folder}." for folder in ("api", "connections", "processes"))
"""Folders of the server that know nothing of the playground."""

COMMANDS: Final = ("soundpost.__main__", "soundpost.django.management.commands.", "soundpost.flask.commands")
"""Modules outside of ``tools`` that may import ``tools``: they start the command line."""

Kind = Literal["run time", "type checking"]


class Import(NamedTuple):
    """One module of the package imports another one."""

    importer: str
    imported: str
    kind: Kind


def test_the_table_has_every_part_of_the_package() -> None:
    assert {part_of(module) for module in modules()} == set(MAY_IMPORT)


@pytest.mark.parametrize("kind", ["run time", "type checking"])
def test_imports_run_one_way(kind: Kind) -> None:
    wrong = [
        f"{each.importer} imports {each.imported}"
        for each in imports()
        if each.kind == kind and is_against_the_rules(each)
    ]
    assert wrong == []


def test_no_circle_at_run_time() -> None:
    """Imports inside functions count too: a circle through one of them is a circle of meaning."""
    edges = defaultdict(set)
    for each in imports():
        if each.kind == "run time":
            edges[each.importer].add(each.imported)
    assert [sorted(circle) for circle in circles(edges)] == []


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]), ids=lambda page: page.stem
)
def test_pages_import_public_modules_only(page: Path) -> None:
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    assert [private for block in blocks for private in private_imports(dedent(block))] == []


@pytest.mark.parametrize("example", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: path.stem)
def test_examples_import_public_modules_only(example: Path) -> None:
    assert private_imports(example.read_text()) == []


def is_against_the_rules(each: Import) -> bool:
    importer, imported = part_of(each.importer), part_of(each.imported)
    if imported == "tools" and each.importer.startswith(COMMANDS):
        return False
    if in_playground(each.imported) and each.importer.startswith(_BELOW_THE_SERVER):
        return True
    return importer != imported and imported not in MAY_IMPORT[importer]


def in_playground(module: str) -> bool:
    return f"{module}.".startswith("soundpost.server.playground.")


def part_of(module: str) -> str:
    """Return the part that a module belongs to: a folder's name, ``root modules``, or ``soundpost`` itself."""
    _, _, below = module.partition(".")
    if not below:
        return "soundpost"
    folder = below.partition(".")[0]
    return folder if (PACKAGE / folder).is_dir() else ROOT_MODULES


@cache
def modules() -> dict[str, Path]:
    """Return the files of all modules by their dotted names."""
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Return all imports between modules of the package."""
    return tuple(
        Import(module, imported, kind)
        for module, file in modules().items()
        for imported, kind in imports_in(ast.parse(file.read_text()))
        if imported != module
    )


def imports_in(node: ast.AST, kind: Kind = "run time") -> Iterator[tuple[str, Kind]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((found, kind) for name in child.names if (found := module_named(name.name)))
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, "imports are absolute"
            yield from ((found, kind) for found in imported_from(child))
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.body:
                yield from imports_in(ast.Module([statement], []), "type checking")
            yield from imports_in(ast.Module(child.orelse, []), kind)
        else:
            yield from imports_in(child, kind)


def imported_from(statement: ast.ImportFrom) -> set[str]:
    """Return the modules that ``from … import …`` names; the package's version is at home in none of them."""
    source = statement.module or ""
    names = [name.name for name in statement.names if (source, name.name) != ("soundpost", "__version__")]
    return {found for name in names if (found := module_named(f"{source}.{name}"))}


def module_named(name: str) -> str | None:
    """Return the module of the package that a dotted name is, or is an object of; None for other packages."""
    if name.partition(".")[0] != "soundpost":
        return None
    while name not in modules():
        name = name.rpartition(".")[0]
    return name


def private_imports(code: str) -> list[str]:
    """Return the modules in ``code`` that applications have no promise for."""
    named = [module for module, _ in imports_in(ast.parse(code))]
    return [module for module in named if not is_public(module)]


def is_public(module: str) -> bool:
    """Tell whether applications may import a module: the package, a public folder, or a module of ``contrib``."""
    if module == "soundpost":
        return True
    folder, _, below = module.removeprefix("soundpost.").partition(".")
    if module.startswith(("soundpost.django.signals", "soundpost.django.urls")):
        return True
    return folder in PUBLIC and (not below or folder == "contrib")


def circles(edges: dict[str, set[str]]) -> list[frozenset[str]]:
    """Return the groups of modules that reach each other."""
    reached = {module: reachable_from(module, edges) for module in list(edges)}
    found = {
        frozenset(other for other in reached[module] if module in reached.get(other, ())) | {module}
        for module in edges
        if module in reached[module]
    }
    return sorted(found, key=sorted)


def reachable_from(module: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = list(edges.get(module, ()))
    while ahead:
        each = ahead.pop()
        if each not in seen:
            seen.add(each)
            ahead += edges.get(each, ())
    return seen
