"""Insertions for FastAPI, Starlette and Litestar applications."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from soundpost.tools.setup.applications import Application
from soundpost.tools.setup.brackets import append, prepend
from soundpost.tools.setup.names import add_import, check_unbound
from soundpost.tools.setup.search import modules_with
from soundpost.tools.setup.source import Insertion, PythonSource, UneditableError

_MAKE: Final = "sp = Soundpost.from_env()"
_USER: Final = "# Put your own dependency here: it returns the user, who may then see private channels."
_REQUEST_USER: Final = "# Put your own function for 'user': it returns the user, who may then see private channels."
_ROUTES: Final = "sp.routes(user=lambda request: None)"

FASTAPI_LINES: Final = (
    "from soundpost.fastapi import Soundpost",
    "",
    _MAKE,
    "app = FastAPI(lifespan=sp.lifespan)",
    _USER,
    "app.include_router(sp.router(user=lambda: None))",
)
STARLETTE_LINES: Final = (
    "from starlette.middleware import Middleware",
    "",
    "from soundpost.starlette import SocketIdMiddleware, Soundpost",
    "",
    _MAKE,
    _REQUEST_USER,
    "app = Starlette(",
    f"    routes=[*{_ROUTES}],",
    "    middleware=[Middleware(SocketIdMiddleware)],",
    "    lifespan=sp.lifespan,",
    ")",
)
LITESTAR_LINES: Final = (
    "from soundpost.litestar import SoundpostPlugin",
    "",
    "app = Litestar(…, plugins=[SoundpostPlugin()])",
)


def fastapi(source: PythonSource, application: Application) -> list[Insertion]:
    """Return the insertions for a FastAPI application. Raises UneditableError."""
    router = f"{_USER}\n{application.name}.include_router(sp.router(user=lambda: None))"
    return [*_with_lifespan(source, application, FASTAPI_LINES[0]), source.after(application.statement, router)]


def starlette(source: PythonSource, application: Application) -> list[Insertion]:
    """Return the insertions for a Starlette application. Raises UneditableError."""
    made = _with_lifespan(source, application, "from soundpost.starlette import SocketIdMiddleware, Soundpost")
    name = application.name
    behind = f"{name}.add_middleware(SocketIdMiddleware)"
    given = _keyword(application.call, "routes")
    if isinstance(given, ast.List):
        comment = source.before(application.statement, _REQUEST_USER)
        return [*made, comment, *prepend(source, given, f"*{_ROUTES}"), source.after(application.statement, behind)]
    behind = f"{behind}\n{_REQUEST_USER}\n{name}.routes[:0] = {_ROUTES}"
    return [*made, source.after(application.statement, behind)]


def litestar(source: PythonSource, application: Application) -> list[Insertion]:
    """Return the insertions for a Litestar application. Raises UneditableError."""
    _check_call(application)
    check_unbound(source, "SoundpostPlugin")
    plugins = _keyword(application.call, "plugins")
    if plugins is None:
        made = append(source, application.call, "plugins=[SoundpostPlugin()]")
    elif isinstance(plugins, ast.List | ast.Tuple):
        made = append(source, plugins, "SoundpostPlugin()")
    else:
        raise UneditableError(f"plugins in line {plugins.lineno} is not a list")
    return [add_import(source, LITESTAR_LINES[0], application.statement), *made]


def check_lifecycle(directory: Path) -> None:
    """Raise UneditableError if functions for start and end are registered that a lifespan would leave out."""
    names = ("on_event", "add_event_handler")
    for found, source in modules_with(directory, *names):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and node.attr in names:
                location = found.path.relative_to(directory)
                raise UneditableError(f"{node.attr} in {location} would no longer be called beside a lifespan")


def _with_lifespan(source: PythonSource, application: Application, imported: str) -> list[Insertion]:
    """Return the insertions of import, extension and lifespan."""
    _check_call(application)
    for name in ("sp", "Soundpost", "SocketIdMiddleware"):
        check_unbound(source, name)
    call = application.call
    for name in ("on_startup", "on_shutdown"):
        if _keyword(call, name) is not None:
            raise UneditableError(f"{name} would no longer be called beside a lifespan")
    own = _keyword(call, "lifespan")
    if own is None:
        lifespan = append(source, call, "lifespan=sp.lifespan")
    elif isinstance(own, ast.Constant):
        raise UneditableError(f"line {own.lineno} says lifespan={source.code(own)}")
    else:
        lifespan = [Insertion(source.start(own), "sp.lifespan_with("), Insertion(source.end(own), ")")]
    return [
        add_import(source, imported, application.statement),
        source.before(application.statement, _MAKE),
        *lifespan,
    ]


def _check_call(application: Application) -> None:
    if application.is_subclass:
        raise UneditableError("the application is of a class of its own, whose arguments are not known")
    if any(keyword.arg is None for keyword in application.call.keywords):
        raise UneditableError(f"line {application.call.lineno} has arguments that are only known at run time: **…")


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
