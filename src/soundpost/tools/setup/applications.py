"""Applications of ASGI and WSGI frameworks in a module: where it calls ``FastAPI(…)``, ``Flask(…)`` and the like."""

from __future__ import annotations

import ast
from typing import Final, NamedTuple

from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.names import dotted_name

_CLASSES: Final = {
    "apiflask.APIFlask": Framework.FLASK,
    "fastapi.FastAPI": Framework.FASTAPI,
    "fastapi.applications.FastAPI": Framework.FASTAPI,
    "flask.Flask": Framework.FLASK,
    "flask.app.Flask": Framework.FLASK,
    "litestar.Litestar": Framework.LITESTAR,
    "litestar.app.Litestar": Framework.LITESTAR,
    "quart.Quart": Framework.QUART,
    "quart.app.Quart": Framework.QUART,
    "starlette.applications.Starlette": Framework.STARLETTE,
}
PACKAGES: Final = tuple(sorted({name.partition(".")[0] for name in _CLASSES}))
"""A module that makes an application has one of these words."""


class Application(NamedTuple):
    """A call that makes an application."""

    framework: Framework
    call: ast.Call
    name: str
    """Variable of the application at the top level of the module; empty anywhere else."""
    statement: ast.stmt
    """Statement of the top level that contains the call."""
    function: str
    """Name of the function or class around the call; empty at the top level."""
    is_subclass: bool
    """True for a class of the module itself, whose arguments are not known."""


def applications(tree: ast.Module) -> list[Application]:
    """Return the applications that a module makes."""
    imported = _imported(tree)
    subclasses = _subclasses(tree, imported)
    found = []
    for statement in tree.body:
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call):
                continue
            called = dotted_name(node.func) or ""
            framework = subclasses.get(called) or _CLASSES.get(_qualified(called, imported))
            if framework is not None:
                name, function = _name(statement, node), _around(statement)
                found.append(Application(framework, node, name, statement, function, called in subclasses))
    return found


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return the full names of what imports bind."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.partition(".")[0]
                found[alias.asname or package] = alias.name if alias.asname else package
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _subclasses(tree: ast.Module, imported: dict[str, str]) -> dict[str, Framework]:
    found: dict[str, Framework] = {}
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            for base in statement.bases:
                framework = _CLASSES.get(_qualified(dotted_name(base) or "", imported))
                if framework is not None:
                    found[statement.name] = framework
    return found


def _qualified(name: str, imported: dict[str, str]) -> str:
    head, dot, rest = name.partition(".")
    return f"{imported[head]}{dot}{rest}" if head in imported else ""


def _name(statement: ast.stmt, call: ast.Call) -> str:
    """Return the variable that a statement of the top level binds to the call's result; empty if there is none."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and statement.value is call:
        target: ast.expr = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is call:
        target = statement.target
    else:
        return ""
    return target.id if isinstance(target, ast.Name) else ""


def _around(statement: ast.stmt) -> str:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name
    return ""
