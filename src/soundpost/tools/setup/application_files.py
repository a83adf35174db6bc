"""Set-up of FastAPI, Starlette, Flask, Quart and Litestar: the lines in the module that makes the application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from soundpost.tools.setup import asgi_edits, flask_edits
from soundpost.tools.setup.applications import Application, applications
from soundpost.tools.setup.changes import Change, Changes, ManualEdit, editable
from soundpost.tools.setup.frameworks import Framework
from soundpost.tools.setup.names import imported_modules, with_free_names
from soundpost.tools.setup.preview import shown
from soundpost.tools.setup.project import Project
from soundpost.tools.setup.search import modules_with
from soundpost.tools.setup.source import Insertion, PythonSource, UneditableError

Edit = Callable[[PythonSource, Application], list[Insertion]]

_EDITS: Final[dict[Framework, Edit]] = {
    Framework.FASTAPI: asgi_edits.fastapi,
    Framework.STARLETTE: asgi_edits.starlette,
    Framework.LITESTAR: asgi_edits.litestar,
    Framework.FLASK: flask_edits.flask,
    Framework.QUART: flask_edits.quart,
}
LINES: Final[dict[Framework, tuple[str, ...]]] = {
    Framework.FASTAPI: asgi_edits.FASTAPI_LINES,
    Framework.STARLETTE: asgi_edits.STARLETTE_LINES,
    Framework.LITESTAR: asgi_edits.LITESTAR_LINES,
    Framework.FLASK: flask_edits.FLASK_LINES,
    Framework.QUART: flask_edits.QUART_LINES,
}
_FACTORY_LINES: Final = {
    Framework.FLASK: flask_edits.FLASK_FACTORY_LINES,
    Framework.QUART: flask_edits.QUART_FACTORY_LINES,
}


def plan_application(project: Project) -> Changes:
    """Return the changes that the application's module needs; none if the project uses Soundpost already."""
    framework = project.framework
    if _is_set_up(project.directory, framework):
        return Changes()
    lines = LINES[framework]
    if not project.files:
        reason = f"no {framework.display_name} application was found here"
        return Changes(manual_edits=[ManualEdit("the module with your application", reason, lines)])
    path = project.files[0]
    location = " or ".join(shown(each, project.directory) for each in (path, *project.alternatives))
    try:
        real = editable(path, project.directory)
        source = PythonSource.read(real)
        found = [each for each in applications(source.tree) if each.framework is framework]
        if not any(each.name for each in found):
            lines = _FACTORY_LINES.get(framework, lines)
        lines = with_free_names(lines, source.tree)
        after = source.with_insertions(_insertions(project, source, found))
    except UneditableError as error:
        return Changes(manual_edits=[ManualEdit(location, str(error), lines)])
    change = Change(
        real, after, before=source.data, encoding=source.encoding, manual_edit=ManualEdit(location, "", lines)
    )
    return Changes(files=[change])


def _is_set_up(directory: Path, framework: Framework) -> bool:
    """Return whether a module of the project imports the integration for its framework."""
    package = f"soundpost.{framework.value}"
    return any(package in imported_modules(source.tree) for _, source in modules_with(directory, package))


def _insertions(project: Project, source: PythonSource, found: list[Application]) -> list[Insertion]:
    """Return the insertions for the application. Raises UneditableError."""
    if project.unread:
        raise UneditableError(f"the application may be in {shown(project.unread[0].path, project.directory)}")
    if project.alternatives:
        raise UneditableError("each of them makes an application")
    if project.framework in (Framework.FASTAPI, Framework.STARLETTE):
        asgi_edits.check_lifecycle(project.directory)
    return _EDITS[project.framework](source, _only(found))


def _only(found: list[Application]) -> Application:
    named = [each for each in found if each.name]
    if len(named) == 1:
        return named[0]
    if named:
        raise UneditableError(f"it makes several applications: {', '.join(each.name for each in named)}")
    function = next((each.function for each in found if each.function), "")
    location = f"in {function}" if function else "within another expression or a block"
    raise UneditableError(f"the application is made {location}")
