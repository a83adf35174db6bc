"""Names in a module: what imports bind, and imports to add."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from soundpost.tools.setup.source import Insertion, PythonSource, UneditableError


def bound_names(tree: ast.Module) -> set[str]:
    """Return the names that a module binds at its top level, within blocks too."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)  # names inside are bound elsewhere
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
        waiting += ast.iter_child_nodes(node)
    return found


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names of the modules that a module imports absolutely, anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def imported_as(tree: ast.Module, module: str, name: str) -> str | None:
    """Return the name under which ``from module import name`` is bound at the top level."""
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == module and not statement.level:
            for alias in statement.names:
                if alias.name == name:
                    return alias.asname or alias.name
    return None


def dotted_name(node: ast.expr) -> str | None:
    """Return the text of ``a.b.c``; None for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted_name(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None


def targets(statement: ast.stmt) -> list[str]:
    """Return the names that an assignment binds; attributes too, as ``app.config``."""
    if isinstance(statement, ast.Assign):
        nodes: list[ast.expr] = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        nodes = [statement.target]
    else:
        return []
    return [name for node in nodes if (name := dotted_name(node))]


def string_constants(node: ast.AST) -> Iterator[str]:
    """Yield the texts in a piece of code, in their order; docstrings too."""
    found = [each for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    for each in sorted(found, key=lambda constant: (constant.lineno, constant.col_offset)):
        assert isinstance(each.value, str)
        yield each.value


def add_import(source: PythonSource, line: str, before: ast.stmt | None = None) -> Insertion:
    """Return the insertion of an import behind the last one, or behind the last one in front of ``before``.

    Raises UneditableError.
    """
    body = source.tree.body
    limit = len(body) if before is None else body.index(before)
    imports = [each for each in body[:limit] if isinstance(each, ast.Import | ast.ImportFrom)]
    if imports:
        return source.after(imports[-1], line)
    if body and ast.get_docstring(source.tree) is not None:
        return source.after(body[0], f"\n{line}")
    if body:
        return source.before(body[0], f"{line}\n")
    return Insertion(len(source.text), f"{line}\n")


def add_to_import(source: PythonSource, module: str, name: str) -> Insertion | None:
    """Return the insertion of a name into ``from module import …`` at the top level; None without such a line."""
    for statement in source.tree.body:
        if not isinstance(statement, ast.ImportFrom) or statement.module != module or statement.level:
            continue
        first = statement.names[0]
        if first.name == "*":
            continue
        start = source.start(first)
        alone = not source.text[source.line_start(start) : start].strip()
        return Insertion(start, f"{name},\n{source.indent(start)}" if alone else f"{name}, ")
    return None


def free_name(tree: ast.Module, name: str) -> str:
    """Return a name that a module does not bind: ``name``, or one with an underscore more."""
    taken = bound_names(tree)
    while name in taken:
        name += "_"
    return name


def with_free_names(lines: Iterable[str], tree: ast.Module) -> tuple[str, ...]:
    """Return lines to add to a module in which names of Soundpost do not replace names of the module."""
    found = list(lines)
    for name in ("sp", "Soundpost", "SocketIdMiddleware", "SoundpostPlugin"):
        free = free_name(tree, name)
        if free != name:
            word = re.compile(rf"\b{name}\b")
            found = [word.sub(f"{name} as {free}" if "import" in line else free, line) for line in found]
    return tuple(found)


def check_unbound(source: PythonSource, name: str) -> None:
    """Raise UneditableError if a module binds a name already."""
    if name in bound_names(source.tree):
        raise UneditableError(f"it uses the name {name} for something else")
