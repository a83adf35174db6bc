"""Functions of channel routes as FastAPI can call them: with what is missing in their signatures added."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from fastapi import BackgroundTasks, Depends, Response, params
from fastapi.security import SecurityScopes
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import HTTPConnection

from soundpost.errors import RouteError

_DECLARATIONS: Final = (params.Param, params.Body, params.Depends)
"""What FastAPI has for saying where a parameter comes from."""
_OF_THE_REQUEST: Final = (HTTPConnection, Response, BackgroundTasks, StarletteBackgroundTasks, SecurityScopes)
"""Classes of parameters that FastAPI fills by itself, ``Request`` among them."""


def injectable(
    callback: Callable[..., Any], parameters: Mapping[str, Any], provided: Mapping[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """A function that does the same, for ``Depends``.

    ``parameters`` are those of the path, with their types, for where the function says none. ``provided`` are
    dependencies for parameters of these names that declare none. Raises NameError, and RouteError as
    :func:`check_declared` does.
    """
    check_declared(callback, {*parameters, *provided})
    hints = _hints(callback)
    wanted = []
    for parameter in inspect.signature(callback).parameters.values():
        annotation = hints.get(parameter.name, parameter.annotation)
        default = parameter.default
        if parameter.name in parameters:
            annotation = parameters[parameter.name] if annotation is parameter.empty else annotation
        elif parameter.name in provided and not _is_declared(annotation, default):
            annotation, default = Annotated[Any, Depends(provided[parameter.name])], parameter.empty
        wanted.append(parameter.replace(annotation=annotation, default=default, kind=parameter.KEYWORD_ONLY))
    return _with_signature(callback, inspect.Signature(wanted))


def check_declared(callback: Callable[..., Any], given: Collection[str]) -> None:
    """Refuse a function with parameters that FastAPI would fill from the query or the body unasked.

    In a path operation that is the habit; what decides who may subscribe is not to be told by who asks. ``given`` are
    the names of parameters that are filled otherwise. Raises RouteError, and NameError for annotations that name
    nothing.
    """
    hints = _hints(callback)
    for parameter in inspect.signature(callback).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise RouteError(f"its parameter '{parameter}' gets nothing here: name the parameters that are meant")
        if parameter.name not in given and not _is_declared(
            hints.get(parameter.name, parameter.annotation), parameter.default
        ):
            raise RouteError(
                f"its parameter '{parameter}' would be taken from what the browser sends: say where it comes "
                "from, by Depends(…), Header(), Query() and their like, or annotate it as Request"
            )


def _is_declared(annotation: Any, default: Any) -> bool:
    """Return whether FastAPI is told where a parameter comes from, or its class says so."""
    annotation = getattr(annotation, "__value__", annotation)  # type X = …
    if isinstance(default, _DECLARATIONS):
        return True
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        if any(isinstance(each, _DECLARATIONS) for each in more):
            return True
    return isinstance(annotation, type) and issubclass(annotation, _OF_THE_REQUEST)


def _with_signature(callback: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
    if _is_async(callback):

        async def acall(**arguments: Any) -> Any:
            return await callback(**arguments)

        made: Any = acall
    else:

        def call(**arguments: Any) -> Any:
            return callback(**arguments)

        made = call
    made.__signature__ = signature
    made.__name__ = getattr(callback, "__name__", type(callback).__name__)
    return made  # type: ignore[no-any-return]


def _is_async(callback: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(type(callback).__call__)


def _hints(callback: Callable[..., Any]) -> dict[str, Any]:
    """Its annotations, those that are texts evaluated. Raises NameError with what cannot be."""
    called: Any = callback
    if isinstance(callback, type):
        called = callback.__init__  # type: ignore[misc]
    elif not inspect.isroutine(callback):
        called = type(callback).__call__
    try:
        return get_type_hints(called, include_extras=True)
    except NameError as error:
        raise NameError(
            f"{error}; with 'from __future__ import annotations' what an annotation names must be a module's own"
        ) from None
