"""One call of a tool or a model: request before it, result after it, or a refusal instead.

with trace.tool("crm.refund", args) as call:      gate, tool.request
    call.result(crm.refund(…))                    tool.result
"""

import asyncio
import contextlib
import contextvars
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from tracefuse import clock, ids
from tracefuse.drafts import Draft, Run
from tracefuse.errors import CircuitOpen
from tracefuse.propagation import current_span, traceparent

if TYPE_CHECKING:
    from tracefuse.fuse import Fuse
    from tracefuse.tracing import Trace

T = TypeVar("T")

# Of an error's message; it is turned into a template and never leaves.
MESSAGE_MAX = 2048
WORD_MAX = 256
# How long a call that writes waits at most for the first commands of a starting agent.
SNAPSHOT_SECONDS = 2.0
POLL_SECONDS = 0.02


class Span:
    """A stretch of a trace: the run itself, or one call. Sync and async context manager."""

    __slots__ = ("_began", "_fuse", "_token", "parent_span_id", "run", "span_id")

    def __init__(self, fuse: "Fuse", run: Run, span_id: str, parent_span_id: str) -> None:
        self._fuse = fuse
        self.run = run
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self._began = 0
        self._token: contextvars.Token[Call | Trace | None] | None = None

    @property
    def trace_id(self) -> str:
        return self.run.trace_id

    def traceparent(self) -> str:
        """W3C trace context of this span, for whoever it calls."""
        return traceparent(self.run.trace_id, self.span_id)

    def _enter(self) -> None:
        self._began = clock.now_us()
        self._token = current_span.set(cast("Call | Trace", self))

    def _leave(self) -> int:
        """Duration in µs."""
        if self._token is not None:
            with contextlib.suppress(ValueError):  # left in another context, as generators do
                current_span.reset(self._token)
            self._token = None
        return max(0, clock.now_us() - self._began)


class Call(Span):
    """One call of a tool or a model. Made by `Trace.tool` and `Trace.llm`."""

    __slots__ = (
        "_asked",
        "_body",
        "_extra",
        "_given",
        "_kind",
        "_tool",
        "call_id",
        "name",
        "trace",
    )

    def __init__(self, trace: "Trace", kind: str, name: str, given: object) -> None:
        super().__init__(trace._fuse, trace.run, ids.span_id(), trace._inner())
        self.trace = trace
        self.call_id = ids.span_id()
        self.name = name
        self._tool = name if kind == "tool" else ""
        self._kind = kind
        self._given = given
        self._asked: dict[str, Any] | None = None  # further fields of the request
        self._body: object = None
        self._extra: dict[str, Any] = {}  # further fields of the result

    def result(self, value: T) -> T:
        """What came back; returned as it is."""
        self._body = self._fuse.snapshot(value)
        return value

    def usage(self, input_tokens: int = 0, output_tokens: int = 0, cost_usd: float = 0.0) -> None:
        """What it consumed: tokens, US dollars."""
        self._extra |= {
            "input_tokens": int(input_tokens),
            "output_tokens": int(output_tokens),
            "cost_usd": float(cost_usd),
        }

    def error(self, error: BaseException | str) -> None:
        """It failed, though no exception leaves the block."""
        self._extra |= failure(error)

    def __enter__(self) -> Self:
        until = clock.monotonic() + SNAPSHOT_SECONDS
        while self._fuse.gate.undecided(self._tool) and clock.monotonic() < until:
            time.sleep(POLL_SECONDS)
        delay = self._admit()
        if delay > 0.0:
            time.sleep(delay)
        self._request()
        return self

    async def __aenter__(self) -> Self:
        until = clock.monotonic() + SNAPSHOT_SECONDS
        # An event of this loop could not be set from the gate's.
        while (  # noqa: ASYNC110
            self._fuse.gate.undecided(self._tool) and clock.monotonic() < until
        ):
            await asyncio.sleep(POLL_SECONDS)
        delay = self._admit()
        if delay > 0.0:
            await asyncio.sleep(delay)
        self._request()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        extra = self._extra
        if error is not None:
            extra |= failure(error)
        extra["duration_us"] = self._leave()
        extra.setdefault("status", "ok")
        self._emit(
            f"{self._kind}.{_ANSWER[self._kind]}",
            self._body,
            extra,
            self._pressing or "error_type" in extra,
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    @property
    def _pressing(self) -> bool:
        """Whether its events leave at once: what stops an agent is decided by calls of tools."""
        return self._kind == "tool"

    def _admit(self) -> float:
        try:
            if self._fuse.gate.undecided(self._tool):
                raise CircuitOpen("", "no commands were read yet")
            return self._fuse.gate.admit(self.run.trace_id, self._tool, clock.monotonic())
        except CircuitOpen as refusal:
            extra: dict[str, Any] = {
                "status": "not_run",
                "error_type": "CircuitOpen",
                "duration_us": 0,
            }
            if refusal.cmd_id:
                extra["attrs"] = {"cmd_id": refusal.cmd_id, "scope": refusal.scope}
            self._emit(f"{self._kind}.{_ANSWER[self._kind]}", None, extra, True)
            raise

    def _request(self) -> None:
        self._enter()
        self._emit(f"{self._kind}.request", self._given, self._asked, self._pressing)

    def _emit(self, name: str, body: object, extra: dict[str, Any] | None, urgent: bool) -> None:
        seen = self._fuse.gate.seen(self.run.trace_id, self._tool)
        if seen:
            extra = {**(extra or {}), "control_seen": seen}
        self._fuse.emitter.emit(
            Draft(
                name,
                self.run,
                self.span_id,
                clock.now_us(),
                self.parent_span_id,
                self.call_id,
                self._tool,
                body,
                extra,
                urgent,
            )
        )


_ANSWER = {"tool": "result", "llm": "response"}


def failure(error: BaseException | str) -> dict[str, Any]:
    """Fields of an event that failed: the class of the error, and its text for a template."""
    try:
        text = str(error)[:MESSAGE_MAX]
    except Exception:  # a foreign `__str__` may fail; the agent must not hear of it
        text = ""
    kind = "error" if isinstance(error, str) else type(error).__name__
    return {"status": "error", "error_type": kind[:WORD_MAX], "error_text": text}
