"""The next steps after the set-up: start the server, open a page, send an event."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from soundpost import documentation
from soundpost.tools.setup.applications import applications
from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.project import Project
from soundpost.tools.setup.source import PythonSource, UneditableError

_LISTEN: Final = (
    "<script>Soundpost.connect().channel('orders').listen('OrderPlaced', (order) => console.log(order))</script>"
)
_TRIGGER: Final = "trigger orders OrderPlaced '{\"id\": 7}'"
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


class _Steps(NamedTuple):
    """Commands that start the server and the application, lines for a page, and a command that sends an event."""

    start: tuple[str, ...]
    page: tuple[str, ...]
    send: str


def next_steps(project: Project, command: str) -> Iterator[str]:
    """Yield the lines; ``command`` calls ``soundpost``."""
    if project.framework is Framework.NONE:
        yield from _script(command)
    elif project.framework is Framework.LARAVEL:
        yield from _numbered(_Steps((f"{command} start", "php artisan serve", "npm run dev"), (), ""))
    else:
        yield from _numbered(_steps(project, command))
    yield f"All the rest: {documentation.page(_PAGES[project.framework])}"


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
    module, name = _application(project)
    match project.framework:
        case Framework.DJANGO:
            manage = "python manage.py"
            return _Steps(
                (f"{manage} soundpost start --dev", f"{manage} runserver"),
                ("{% load soundpost %}{% soundpost libraries=True %}", _LISTEN),
                f"{manage} soundpost {_TRIGGER}",
            )
        case Framework.FLASK:
            flask = "flask" if module in ("app", "wsgi") else f"flask --app {module}"
            return _Steps(
                (f"{flask} soundpost start", f"{flask} run"),
                ("{{ soundpost(libraries=True) }}", _LISTEN),
                f"{flask} soundpost {_TRIGGER}",
            )
        case Framework.QUART:
            quart = f"quart --app {module}:{name} run"
            return _Steps((start, quart), ("{{ soundpost(libraries=True) }}", _LISTEN), send)
        case Framework.LITESTAR:
            return _Steps((start, f"litestar --app {module}:{name} run"), (), send)
        case _:
            page = ("{{ sp.echo_script(request, libraries=True) }}", _LISTEN)
            return _Steps((start, f"uvicorn {module}:{name} --reload"), page, send)


def _application(project: Project) -> tuple[str, str]:
    """Return the dotted module and the variable of the application."""
    if not project.files or project.framework is Framework.DJANGO:
        return "main", "app"
    path = project.files[0].relative_to(project.directory).with_suffix("")
    parts = path.parts[:-1] if path.name == "__init__" else path.parts
    return ".".join(parts) or "app", _variable(project.files[0], project.framework)


def _variable(path: Path, framework: Framework) -> str:
    try:
        found = applications(PythonSource.read(path).tree)
    except UneditableError:
        return "app"
    return next((each.name for each in found if each.framework is framework and each.name), "app")
