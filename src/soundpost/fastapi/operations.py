"""Path operations made from channel routes and handlers of webhooks.

Each stores the results of its dependencies in a :class:`RequestOutcome`.
"""

# No "from __future__ import annotations": FastAPI is to see the dependencies themselves, which are local names here.

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request, Response

from soundpost.broadcasting.authorization import Context
from soundpost.broadcasting.authorization.routes import ChannelRoute
from soundpost.broadcasting.authorization.users import authenticated_user
from soundpost.fastapi.injection import injectable
from soundpost.webhooks.handlers import Handler

OUTCOME: Final = "soundpost.outcome"
"""Key of the outcome in a request's scope."""

PROVIDED: Final = ("user", "ctx")
"""Parameters of channel routes that need no declaration."""

Operation = Callable[..., Any]


@dataclass(slots=True)
class RequestOutcome:
    """The context of a private request, and its results: the user, and the result of the route's function."""

    ctx: Context | None = None
    user: Any = None
    result: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of a handler of webhooks that come from the event."""
    is_done: bool = False
    """True once the route has returned; still false if an exception has ended the request."""


def channel_operation(route: ChannelRoute, user: Operation) -> Operation:
    """Return the operation that calls a channel route; ``user`` is the dependency that returns the user."""
    types = {name: converter.convert for name, converter in route.pattern.parameters.items()}
    callback = injectable(route.callback, types, dict(zip(PROVIDED, (user, _context), strict=True)))

    async def answer(
        request: Request, user: Annotated[Any, Depends(user)], result: Annotated[Any, Depends(callback)]
    ) -> Response:
        return _finish(request, user, await _awaited(result))

    return answer


def sign_in_operation(callback: Operation, user: Operation) -> Operation:
    """Return the operation that calls the sign-in callback; ``user`` is the dependency that returns the user."""
    described = injectable(callback, {}, {"user": user})

    async def answer(
        request: Request, user: Annotated[Any, Depends(user)], result: Annotated[Any, Depends(described)]
    ) -> Response:
        return _finish(request, user, await _awaited(result) or False)

    return answer


def user_operation(user: Operation) -> Operation:
    """Return the operation that finds the user."""

    async def answer(request: Request, user: Annotated[Any, Depends(user)]) -> Response:
        return _finish(request, user, None)

    return answer


def handler_operation(handler: Handler) -> Operation:
    """Return the operation that calls a handler of webhooks, with the event's arguments and with dependencies."""
    callback = injectable(handler.callback, {}, {name: partial(_argument, name) for name in handler.sources})

    async def answer(request: Request, result: Annotated[Any, Depends(callback)]) -> Response:
        return _finish(request, None, await _awaited(result))

    return answer


def required_user(find: Operation) -> Operation:
    """Return a dependency that returns the user of the dependency ``find``, and answers 401 for nobody."""

    async def found(found: Annotated[Any, Depends(find)]) -> Any:
        user = await _awaited(authenticated_user(found))
        if user is None:
            raise HTTPException(401, "nobody is logged in")
        return user

    return found


async def user_found_before(request: Request) -> Any:
    """Return the user who was found before the private request, or None; a dependency."""
    return request.scope[OUTCOME].user


async def _awaited(result: Any) -> Any:
    """Return a result, or that of a coroutine which a blocking function returned: FastAPI does not wait for it."""
    return await result if inspect.isawaitable(result) else result


async def _context(request: Request) -> Any:
    return request.scope[OUTCOME].ctx


async def _argument(name: str, request: Request) -> Any:
    return request.scope[OUTCOME].arguments[name]


def _finish(request: Request, user: Any, result: Any) -> Response:
    outcome: RequestOutcome = request.scope[OUTCOME]
    outcome.user, outcome.result, outcome.is_done = user, result, True
    return Response(status_code=204)
