"""Runs and calls as decorators, for sync and async functions.

@fuse.tool("crm.refund")
def refund(order, amount): ...        refund(991, 25.0) is a call of the tool with these arguments
"""

import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from tracefuse.calls import Call
from tracefuse.tracing import Trace

if TYPE_CHECKING:
    from tracefuse.fuse import Fuse

P = ParamSpec("P")
R = TypeVar("R")
# Makes the span of one call from the run it happens in and the arguments.
Maker = Callable[[Trace, dict[str, object]], Call]


def traced(fuse: "Fuse", function: Callable[P, R], task: str) -> Callable[P, R]:
    """Each call of the function is a run."""
    name = task or function.__name__
    if inspect.iscoroutinefunction(function):

        async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            async with fuse.trace(task=name):
                return await function(*args, **kwargs)

        return cast("Callable[P, R]", functools.wraps(function)(run_async))

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with fuse.trace(task=name):
            return function(*args, **kwargs)

    return functools.wraps(function)(run)


def called(fuse: "Fuse", function: Callable[P, R], make: Maker) -> Callable[P, R]:
    """Each call of the function is a call in the current run, or in one of its own."""
    signature = inspect.signature(function)

    def arguments(*args: P.args, **kwargs: P.kwargs) -> dict[str, object]:
        try:
            return dict(signature.bind(*args, **kwargs).arguments)
        except TypeError:
            return dict(kwargs)  # the call itself will say what is wrong with them

    def span() -> Trace | nullcontext[Trace]:
        current = fuse.current()
        return fuse.trace(task=function.__name__) if current is None else nullcontext(current)

    if inspect.iscoroutinefunction(function):

        async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            with span() as trace:
                async with make(trace, arguments(*args, **kwargs)) as call:
                    return call.result(await function(*args, **kwargs))

        return cast("Callable[P, R]", functools.wraps(function)(call_async))

    def call_sync(*args: P.args, **kwargs: P.kwargs) -> R:
        with span() as trace, make(trace, arguments(*args, **kwargs)) as call:
            return call.result(function(*args, **kwargs))

    return functools.wraps(function)(call_sync)
