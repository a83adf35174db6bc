"""Insertions for Flask and Quart applications."""

from __future__ import annotations

import ast
from typing import Final

from soundpost.tools.setup.applications import Application
from soundpost.tools.setup.names import add_import, check_unbound, dotted_name, targets
from soundpost.tools.setup.source import Insertion, PythonSource

FLASK_LINES: Final = ("from soundpost.flask import Soundpost", "", "sp = Soundpost(app)")
QUART_LINES: Final = ("from soundpost.quart import Soundpost", "", "sp = Soundpost(app)")
_FACTORY: Final = ("", "sp = Soundpost()", "", "sp.init_app(app)  # in your factory, before it returns the application")
FLASK_FACTORY_LINES: Final = (FLASK_LINES[0], *_FACTORY)
QUART_FACTORY_LINES: Final = (QUART_LINES[0], *_FACTORY)


def flask(source: PythonSource, application: Application) -> list[Insertion]:
    """Return the insertions for a Flask application. Raises UneditableError."""
    return _extension(source, application, FLASK_LINES[0])


def quart(source: PythonSource, application: Application) -> list[Insertion]:
    """Return the insertions for a Quart application. Raises UneditableError."""
    return _extension(source, application, QUART_LINES[0])


def _extension(source: PythonSource, application: Application, imported: str) -> list[Insertion]:
    check_unbound(source, "sp")
    check_unbound(source, "Soundpost")
    return [
        add_import(source, imported, application.statement),
        source.after(_last_of_configuration(source.tree, application), f"sp = Soundpost({application.name})"),
    ]


def _last_of_configuration(tree: ast.Module, application: Application) -> ast.stmt:
    """Return the last of the statements directly behind the application that configure the application."""
    last = application.statement
    for statement in tree.body[tree.body.index(last) + 1 :]:
        if not _configures(statement, application.name):
            break
        last = statement
    return last


def _configures(statement: ast.stmt, name: str) -> bool:
    """Return whether a statement is ``app.config[…] = …``, ``app.config.from_object(…)`` or ``app.secret_key = …``."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return (dotted_name(statement.value.func) or "").startswith(f"{name}.config.")
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript):
        return dotted_name(statement.targets[0].value) == f"{name}.config"
    return any(target.startswith(f"{name}.") for target in targets(statement))
