"""Which trace a piece of code belongs to: across threads, tasks, processes and hosts.

Within a process a context variable knows it; asyncio tasks inherit it by themselves, threads with
`carry`. Between processes it travels as W3C trace context (`traceparent`), in headers or in the
environment variable TRACEPARENT.
"""

import contextvars
import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from tracefuse.calls import Call
    from tracefuse.tracing import Trace

P = ParamSpec("P")
R = TypeVar("R")

HEADER = "traceparent"
VARIABLE = "TRACEPARENT"

# Version 00; a later version may append fields, and all but ff are to be read like 00.
_PATTERN = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

current_span: contextvars.ContextVar["Call | Trace | None"] = contextvars.ContextVar(
    "tracefuse_span", default=None
)


class Parent(NamedTuple):
    """Where a trace comes from: its id, and the span that called."""

    trace_id: str
    span_id: str


def traceparent(trace_id: str, span_id: str) -> str:
    """The header's value; the last field says that the trace is recorded.

    >>> traceparent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    """
    return f"00-{trace_id}-{span_id}-01"


def parse(header: str | None) -> Parent | None:
    """Trace and span of a header's value; None for anything that is not one.

    >>> parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").span_id
    '00f067aa0ba902b7'
    >>> parse("00-00000000000000000000000000000000-00f067aa0ba902b7-01") is None
    True
    """
    found = _PATTERN.fullmatch(header.strip()) if header else None
    if found is None:
        return None
    version, trace_id, span_id, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not trace_id.strip("0"):
        return None
    return Parent(trace_id, span_id) if span_id.strip("0") else None


def inject(headers: MutableMapping[str, str]) -> None:
    """Put the current span into headers of a request, or into a child's environment variables.

    >>> inject({})  # outside of any trace there is nothing to put
    """
    span = current_span.get()
    if span is not None:
        headers[HEADER] = span.traceparent()


def extract(headers: Mapping[str, str]) -> str | None:
    """The `traceparent` of a request's headers, or of an environment.

    >>> extract({"Traceparent": "00-1"}), extract({})
    ('00-1', None)
    """
    for name, value in headers.items():
        if name.lower() == HEADER:
            return value
    return None


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """A function that runs in the caller's trace, in whichever thread it is called.

    Each call runs in a copy of the context, so a pool may run several at once.

    >>> import threading
    >>> threading.Thread(target=carry(print), args=("in the same trace",)).start()
    in the same trace
    """
    context = contextvars.copy_context()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return carried
