"""Steps of an auth decision: generators that yield calls of application code, driven blocking or asynchronously.

One text serves both: a step yields a call, and is sent the call's result, or is thrown the call's exception.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from soundpost.errors import RouteError
from soundpost.values.proxies import unproxied

T = TypeVar("T")

Steps = Generator[Callable[[], Any], Any, T]
"""A generator that yields callables without arguments, is sent their results, and returns a T."""


class Call:
    """A function of the application with its arguments, to be called by the driver of the steps."""

    __slots__ = ("_args", "_kwargs", "func")

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.func = func
        self._args = args
        self._kwargs = kwargs

    def __call__(self) -> Any:
        """Return the function's result, without a proxy around it."""
        try:
            return unproxied(self.func(*self._args, **self._kwargs))
        except StopIteration as error:  # a future cannot carry it: what awaits would wait for ever
            raise RuntimeError("StopIteration") from error


def refuse_generator(name: str, result: Any) -> None:
    """Raise RouteError if a function of the application, here by its name, returned a generator: nothing has run."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise RouteError(f"{name} returned a generator, of which nothing has run: leave out the 'yield'")


def run_steps(steps: Steps[T], run_async: Callable[[Awaitable[Any]], Any] | None) -> T:
    """Run steps in synchronous code and return their result; ``run_async`` waits for coroutines among the calls."""
    try:
        call = next(steps)
        while True:
            try:
                result = call()
                if inspect.isawaitable(result):
                    result = (run_async or _run)(result)
            except Exception as error:
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as stop:
        returned: T = stop.value
        return returned


async def arun_steps(steps: Steps[T], run_sync: Callable[..., Awaitable[Any]]) -> T:
    """Run steps in asynchronous code and return their result; ``run_sync`` calls functions that may block."""
    try:
        call = next(steps)
        while True:
            try:
                result = await _acall(call, run_sync)
            except Exception as error:
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as stop:
        returned: T = stop.value
        return returned


async def _acall(call: Any, run_sync: Callable[..., Awaitable[Any]]) -> Any:
    if inspect.iscoroutinefunction(getattr(call, "func", call)):
        return await call()
    result = await run_sync(call)
    return await result if inspect.isawaitable(result) else result


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _run(awaitable: Awaitable[Any]) -> Any:
    return asyncio.run(_awaited(awaitable))
