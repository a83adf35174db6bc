"""Signatures of channel routes, completed so that FastAPI can call the functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

from fastapi import BackgroundTasks, Depends, Response, params
from fastapi.security import SecurityScopes
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import HTTPConnection

from soundpost.annotations import signature_of
from soundpost.errors import RouteError

_DECLARATIONS: Final = (params.Param, params.Body, params.Depends)
"""Classes that declare the source of a parameter to FastAPI."""
_OF_THE_REQUEST: Final = (HTTPConnection, Response, BackgroundTasks, StarletteBackgroundTasks, SecurityScopes)
"""Classes of parameters that FastAPI fills by itself, ``Request`` among them."""


def injectable(
    callback: Callable[..., Any], parameters: Mapping[str, Any], provided: Mapping[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """Return a function that calls ``callback``, with a signature for ``Depends``.

    ``parameters`` are the parameters of the path, with types for those without an annotation. ``provided`` are
    dependencies, by name, for parameters that declare none. Raises RouteError and NameError as :func:`check_declared`.
    """
    check_declared(callback, {*parameters, *provided})
    hints = _hints(callback)
    wanted = []
    for parameter in signature_of(callback).parameters.values():
        annotation = hints.get(parameter.name, parameter.annotation)
        default = parameter.default
        if parameter.name in parameters:
            annotation = parameters[parameter.name] if annotation is parameter.empty else annotation
        elif parameter.name in provided and not _is_declared(annotation, default):
            annotation, default = Annotated[Any, Depends(provided[parameter.name])], parameter.empty
        wanted.append(parameter.replace(annotation=annotation, default=default, kind=parameter.KEYWORD_ONLY))
    return _with_signature(callback, inspect.Signature(wanted))


def check_declared(callback: Callable[..., Any], given: Collection[str], known: Sequence[str] = ()) -> None:
    """Refuse a function with parameters that FastAPI would fill from the query or the body unasked.

    A path operation may have such parameters; a function that decides who may subscribe may not take its arguments from
    the browser. ``given`` are names of parameters that are filled otherwise, ``known`` those that the error lists.
    Raises RouteError for such a parameter, NameError for an annotation that names nothing.
    """
    hints = _hints(callback)
    for parameter in signature_of(callback).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            raise RouteError(f"its parameter '{parameter}' gets no arguments: write each parameter by name")
        if parameter.name not in given and not _is_declared(
            hints.get(parameter.name, parameter.annotation), parameter.default
        ):
            none_of = f" is none of {', '.join(known)}, and" if known else ""
            raise RouteError(
                f"its parameter '{parameter}'{none_of} would be taken from what the browser sends: say where it comes "
                "from, by Depends(…), Header(), Query() and similar, or annotate it as Request"
            )


def _is_declared(annotation: Any, default: Any) -> bool:
    """Return whether a parameter has a declared source, by its annotation, default or class."""
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
    """Return a function's annotations, evaluated if they are texts. Raises NameError."""
    called: Any = callback
    if isinstance(callback, type):
        called = callback.__init__  # type: ignore[misc]
    elif not inspect.isroutine(callback):
        called = type(callback).__call__
    try:
        return get_type_hints(called, include_extras=True)
    except NameError as error:
        raise NameError(
            f"{error}; with 'from __future__ import annotations' an annotation can use only names of its module"
        ) from None
