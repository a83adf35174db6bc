"""The path operations that channel routes become: each notes in an :class:`Outcome` what its dependencies gave."""

# No "from __future__ import annotations": FastAPI is to see the dependencies themselves, which are local names here.

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request, Response

from soundpost.broadcasting.authorization import Context
from soundpost.broadcasting.authorization.routes import Route
from soundpost.broadcasting.authorization.users import known_user
from soundpost.fastapi.injection import injectable

OUTCOME: Final = "soundpost.outcome"
"""Key of the outcome in a request's scope."""

PROVIDED: Final = ("user", "ctx")
"""Parameters of channel routes that need no declaration."""

Operation = Callable[..., Any]


@dataclass(slots=True)
class Outcome:
    """What is known before a private request, and what comes of it."""

    ctx: Context | None = None
    user: Any = None
    result: Any = None
    is_done: bool = False
    """The route was asked and answered; it was not an exception that ended the request."""


def channel_operation(route: Route, user: Operation) -> Operation:
    """Asks a channel route; ``user`` is the dependency that gives the user."""
    types = {name: converter.convert for name, converter in route.pattern.parameters.items()}
    callback = injectable(route.callback, types, dict(zip(PROVIDED, (user, _context), strict=True)))

    async def answer(
        request: Request, user: Annotated[Any, Depends(user)], result: Annotated[Any, Depends(callback)]
    ) -> Response:
        return _done(request, user, result)

    return answer


def sign_in_operation(callback: Operation, user: Operation) -> Operation:
    """Asks who a user is at sign-in."""
    introduced = injectable(callback, {}, {"user": user})

    async def answer(
        request: Request, user: Annotated[Any, Depends(user)], result: Annotated[Any, Depends(introduced)]
    ) -> Response:
        return _done(request, user, result or False)

    return answer


def user_operation(user: Operation) -> Operation:
    """Finds the user."""

    async def answer(request: Request, user: Annotated[Any, Depends(user)]) -> Response:
        return _done(request, user, None)

    return answer


def someone(find: Operation) -> Operation:
    """A dependency like ``find``, which refuses where that finds nobody."""

    async def found(found: Annotated[Any, Depends(find)]) -> Any:
        user = known_user(found)
        if inspect.isawaitable(user):
            user = await user
        if user is None:
            raise HTTPException(401, "nobody is logged in")
        return user

    return found


async def found_before(request: Request) -> Any:
    """A dependency: the user who was found before the request, or None."""
    return request.scope[OUTCOME].user


async def _context(request: Request) -> Any:
    return request.scope[OUTCOME].ctx


def _done(request: Request, user: Any, result: Any) -> Response:
    outcome: Outcome = request.scope[OUTCOME]
    outcome.user, outcome.result, outcome.is_done = user, result, True
    return Response(status_code=204)
