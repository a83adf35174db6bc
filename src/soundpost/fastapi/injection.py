"""Functions of channel routes as FastAPI can call them: with what is missing in their signatures added."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_origin, get_type_hints

from fastapi import Depends


def injectable(
    callback: Callable[..., Any], parameters: Mapping[str, Any], provided: Mapping[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """A function that does the same, for ``Depends``.

    ``parameters`` are those of the path, with their types, for where the function says none. ``provided`` are
    dependencies for parameters of these names that have none of their own. Raises NameError.
    """
    hints = _hints(callback)
    wanted = []
    for parameter in inspect.signature(callback).parameters.values():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        annotation = hints.get(parameter.name, parameter.annotation)
        is_plain = get_origin(annotation) is not Annotated and parameter.default is parameter.empty
        if is_plain and parameter.name in provided:
            annotation = Annotated[Any, Depends(provided[parameter.name])]
        elif annotation is parameter.empty and parameter.name in parameters:
            annotation = parameters[parameter.name]
        wanted.append(parameter.replace(annotation=annotation, kind=parameter.KEYWORD_ONLY))
    return _with_signature(callback, inspect.Signature(wanted))


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
    called = callback if inspect.isroutine(callback) else type(callback).__call__
    try:
        return get_type_hints(called, include_extras=True)
    except NameError as error:
        raise NameError(
            f"{error}; with 'from __future__ import annotations' what an annotation names must be a module's own"
        ) from None
