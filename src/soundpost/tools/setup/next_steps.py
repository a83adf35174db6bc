"""The next steps after the set-up: start the server, open a page, send an event."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from soundpost import documentation
from soundpost.tools.setup.applications import applications
from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.names import dotted_name, free_name, imported_modules, targets
from soundpost.tools.setup.preview import shown
from soundpost.tools.setup.project import Project
from soundpost.tools.setup.source import PythonSource, UneditableError

_LISTEN: Final = (
    "<script>Soundpost.connect().channel('orders').listen('OrderPlaced', (order) => console.log(order))</script>"
)
_TRIGGER: Final = "trigger orders OrderPlaced '{\"id\": 7}'"
_MODULE: Final = "MODULE"
_NAME: Final = "APP"
_PAGES: Final = {
    Framework.DJANGO: "django",
    Framework.FASTAPI: "fastapi",
    Framework.STARLETTE: "fastapi",
    Framework.FLASK: "flask",
    Framework.QUART: "flask",
    Framework.LITESTAR: "litestar",
    Framework.LARAVEL: "compatibility",
    Framework.NONE: "broadcasting",
}


class _Application(NamedTuple):
    """The application's module and variable as a command line needs them, and the extension's variable."""

    module: str = "main"
    name: str = "app"
    extension: str = "sp"
    choices: tuple[str, ...] = ()
    """A line that says what to put in place of ``MODULE`` or ``APP``, if that is not known."""


class _Module(NamedTuple):
    """A module that makes applications: its dotted name, their variables, and the variable of the extension."""

    module: str
    names: tuple[str, ...]
    extension: str
    has_extension: bool


class _Steps(NamedTuple):
    """Commands that start the server and the application, lines for a page, and a command that sends an event."""

    start: tuple[str, ...]
    page: tuple[str, ...]
    send: str


def next_steps(project: Project, command: str) -> Iterator[str]:
    """Yield the lines; ``command`` calls ``soundpost``."""
    if project.unread:
        yield from _correct_first(project, command)
        return
    if project.framework is Framework.NONE:
        yield from _script(command)
    elif project.framework is Framework.LARAVEL:
        yield from _numbered(_Steps((f"{command} start", "php artisan serve", "npm run dev"), (), ""))
    else:
        yield from _numbered(_steps(project, command))
    yield f"All the rest: {documentation.page(_PAGES[project.framework])}"


def _correct_first(project: Project, command: str) -> Iterator[str]:
    path, reason = project.unread[0]
    name = shown(path, project.directory)
    yield f"1. Correct {name}, which could not be read: {reason}."
    yield f"2. Then add what {name} needs, and see the next steps:"
    yield f"     {command} init"


def _script(command: str) -> Iterator[str]:
    yield "1. Start the server, and in a second shell wait for events:"
    yield f"     {command} start"
    yield f"     {command} listen orders"
    yield "2. Send one, from any script in this folder:"
    yield "     from soundpost import publish"
    yield ""
    yield '     publish("orders", "OrderPlaced", {"id": 7})'


def _numbered(steps: _Steps) -> Iterator[str]:
    yield "1. Start the server, and your application in another shell:"
    yield from (f"     {line}" for line in steps.start)
    if steps.page:
        yield "2. Put this into a page, and open the page:"
        yield from (f"     {line}" for line in steps.page)
    if steps.send:
        yield "3. Send an event; the browser's console shows it:" if steps.page else "2. Send an event:"
        yield f"     {steps.send}"


def _steps(project: Project, command: str) -> _Steps:
    start, send = f"{command} start", f"{command} {_TRIGGER}"
    module, name, extension, choices = _application(project)
    match project.framework:
        case Framework.DJANGO:
            manage = "python manage.py"
            return _Steps(
                (f"{manage} soundpost start --dev", f"{manage} runserver"),
                ("{% load soundpost %}{% soundpost libraries=True %}", _LISTEN),
                f"{manage} soundpost {_TRIGGER}",
            )
        case Framework.FLASK:
            location = f"{module}:{name}" if name == _NAME else module
            flask = "flask" if location in ("app", "wsgi") else f"flask --app {location}"
            return _Steps(
                (f"{flask} soundpost start", f"{flask} run", *choices),
                ("{{ soundpost(libraries=True) }}", _LISTEN),
                f"{flask} soundpost {_TRIGGER}",
            )
        case Framework.QUART:
            quart = f"quart --app {module}:{name} run"
            return _Steps((start, quart, *choices), ("{{ soundpost(libraries=True) }}", _LISTEN), send)
        case Framework.LITESTAR:
            return _Steps((start, f"litestar --app {module}:{name} run", *choices), (), send)
        case _:
            page = (f"{{{{ {extension}.echo_script(request, libraries=True) }}}}", _LISTEN)
            return _Steps((start, f"uvicorn {module}:{name} --reload", *choices), page, send)


def _application(project: Project) -> _Application:
    if not project.files or project.framework is Framework.DJANGO:
        return _Application()
    candidates = [_read(path, project) for path in (project.files[0], *project.alternatives)]
    candidates = [each for each in candidates if each.has_extension] or candidates
    first = candidates[0]
    if len(candidates) > 1:
        modules = " or ".join(each.module for each in candidates)
        return _Application(_MODULE, "app", first.extension, (f"# {_MODULE} is {modules}: the one that you serve",))
    if len(first.names) > 1:
        names = " or ".join(first.names)
        return _Application(first.module, _NAME, first.extension, (f"# {_NAME} is {names}: the one that you serve",))
    return _Application(first.module, next(iter(first.names), "app"), first.extension)


def _read(path: Path, project: Project) -> _Module:
    location = path.relative_to(project.directory).with_suffix("")
    parts = location.parts[:-1] if location.name == "__init__" else location.parts
    module = ".".join(parts) or "app"
    try:
        tree = PythonSource.read(path).tree
    except UneditableError:
        return _Module(module, ("app",), "sp", has_extension=False)
    names = tuple(each.name for each in applications(tree) if each.framework is project.framework and each.name)
    has_extension = f"soundpost.{project.framework.value}" in imported_modules(tree)
    return _Module(module, names, _extension(tree) or free_name(tree, "sp"), has_extension)


def _extension(tree: ast.Module) -> str:
    """Return the variable of ``Soundpost(…)`` or ``Soundpost.from_env()``; empty without one."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
            called = dotted_name(statement.value.func) or ""
            if called.partition(".")[0].rstrip("_") == "Soundpost":
                return next(iter(targets(statement)), "")
    return ""
