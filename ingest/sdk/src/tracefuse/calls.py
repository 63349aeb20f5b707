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
from tracefuse.control import agent_scope
from tracefuse.drafts import Draft, Run, amount
from tracefuse.errors import ApprovalRequired, CircuitOpen, Refused, ToolDenied
from tracefuse.grants import DEADLINE_SECONDS, SHADOW
from tracefuse.held import SNAPSHOT_SECONDS, Waiting, wait, wait_async
from tracefuse.propagation import current_span, traceparent

if TYPE_CHECKING:
    from collections.abc import Generator

    from tracefuse.fuse import Fuse
    from tracefuse.tracing import Trace
    from tracefuse.verdicts import Verdict

T = TypeVar("T")

# Of an error's message; it is turned into a template and never leaves.
MESSAGE_MAX = 2048
WORD_MAX = 256
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
        "_approval",
        "_asked",
        "_attempt",
        "_awaits",
        "_body",
        "_delay",
        "_extra",
        "_given",
        "_kind",
        "_patience",
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
        self._approval = ""  # a person's yes, to be used
        self._patience = 0.0  # seconds to wait for one
        self._attempt = 1
        self._awaits = ""  # the approval that it waits for now
        self._delay = 0.0  # that a verdict asks for

    def result(self, value: T) -> T:
        """What came back; returned as it is."""
        self._body = self._fuse.snapshot(value)
        return value

    def usage(self, input_tokens: int = 0, output_tokens: int = 0, cost_usd: float = 0.0) -> None:
        """What it consumed: tokens, US dollars. What is no amount counts as not told."""
        self._extra |= {
            "input_tokens": int(amount(input_tokens) or 0),
            "output_tokens": int(amount(output_tokens) or 0),
            "cost_usd": amount(cost_usd) or 0.0,
        }

    def error(self, error: BaseException | str) -> None:
        """It failed, though no exception leaves the block."""
        self._extra |= failure(error)

    def _anew(self) -> None:
        """A call that is entered again, as in a loop that tries once more, is another call."""
        if self._began:
            self.call_id, self.span_id = ids.span_id(), ids.span_id()
            self._body, self._extra, self._attempt, self._delay = None, {}, 1, 0.0
            self._began = 0

    def __enter__(self) -> Self:
        self._anew()
        until = clock.monotonic() + SNAPSHOT_SECONDS
        while self._fuse.settling(self._tool) and clock.monotonic() < until:
            time.sleep(POLL_SECONDS)
        delay = self._admit()
        if delay > 0.0:
            time.sleep(delay)
        asking = self._asking()
        try:
            with contextlib.suppress(StopIteration):
                waiting = next(asking)
                while True:
                    waiting = asking.send(wait(*waiting))
            if self._delay > 0.0:
                time.sleep(self._delay)
            self._last_look()
        except BaseException as error:
            self._called_off(error)
            raise
        self._began = clock.now_us()  # what it waited for was not the tool
        return self

    async def __aenter__(self) -> Self:
        self._anew()
        until = clock.monotonic() + SNAPSHOT_SECONDS
        # An event of this loop could not be set from the gate's.
        while (  # noqa: ASYNC110
            self._fuse.settling(self._tool) and clock.monotonic() < until
        ):
            await asyncio.sleep(POLL_SECONDS)
        delay = self._admit()
        if delay > 0.0:
            await asyncio.sleep(delay)
        asking = self._asking()
        try:
            with contextlib.suppress(StopIteration):
                waiting = next(asking)
                while True:
                    waiting = asking.send(await wait_async(*waiting))
            if self._delay > 0.0:
                await asyncio.sleep(self._delay)
            self._last_look()
        except BaseException as error:
            self._called_off(error)
            raise
        self._began = clock.now_us()  # what it waited for was not the tool
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
                raise CircuitOpen(
                    agent_scope(self._fuse.credential.tenant, self._fuse.credential.agent_id),
                    "no broker has told yet what stands open",
                )
            bundle = self.trace.bundle
            if self._tool:
                self._fuse.held.admit(self._tool, self._fuse.environment, bundle)
                if not self._fuse.held.holds(self._tool):
                    self._stay_apart()  # what is held hears first what would have become of it
            return self._fuse.gate.admit(self.run.trace_id, self._tool, clock.monotonic(), bundle)
        except CircuitOpen as refusal:
            self._not_run(refusal, _who_stopped(refusal))
            raise
        except ToolDenied as refusal:
            if self.run.probe and refusal.gate == SHADOW:  # what it would have called is compared
                self._emit(f"{self._kind}.request", self._given, self._asked, True)
            self._not_run(refusal, {"gate": refusal.gate})
            raise

    def _stay_apart(self) -> None:
        """A probe and a shadow execute nothing that may change something, whoever has forgotten to say so."""
        if self.run.probe and not self._fuse.gate.reads(self._tool):
            raise ToolDenied(self._tool, "a probe executes nothing", SHADOW)
        self._fuse.held.stay_apart(self._tool, self.run.bundle, bool(self.run.shadow_of))

    def _last_look(self) -> None:
        """It may have waited for a turn, a verdict or a person: what was stopped meanwhile does not run."""
        try:
            self._fuse.gate.stopped(self.run.trace_id, self._tool, self.run.bundle)
        except CircuitOpen as refusal:
            self._not_run(refusal, _who_stopped(refusal), self._leave())
            raise

    def _called_off(self, error: BaseException) -> None:
        """Nothing ran: it was refused, or whoever waited called it off, as with a timeout of its own."""
        # It took a place of a scope on trial, and did not use it.
        self._fuse.gate.back(self.run.trace_id, self._tool, self.run.bundle)
        if isinstance(error, Refused):
            return  # told already
        held = self._fuse.held
        held.forget(self.call_id, self._attempt)
        if self._awaits:  # for a person: its asking was over, and told
            held.forget(self._awaits, 0)
            self._leave()
            return
        self._extra.setdefault("verdict_seen", "none")
        self._not_run(error, {}, self._leave())

    def _not_run(self, refusal: BaseException, told: dict[str, Any], duration_us: int = 0) -> None:
        """Report a call that was refused: nothing happened, nothing is owed."""
        extra = self._extra | {
            "status": "not_run", "error_type": type(refusal).__name__, "duration_us": duration_us,
        }  # fmt: skip
        if told:
            extra["attrs"] = told
        self._emit(f"{self._kind}.{_ANSWER[self._kind]}", None, extra, True)

    def _asking(self) -> "Generator[Waiting, Verdict | None, None]":
        """Say that the call is about to run and, where it has to, wait for its verdict, and for a person.

        Yields what to wait for and how long; is sent what came, None for nothing. Raises `Refused` to
        the agent's author for a call that must not run.
        """
        self._enter()
        held = self._fuse.held
        if not self._tool or not (held.holds(self._tool) or self._trying()):
            self._emit(f"{self._kind}.request", self._given, self._asked, self._pressing)
            return
        verdict = yield self._ask()
        while verdict is not None and verdict.word == "needs_approval" and self._patience > 0.0:
            # Asked before it is reported: a person may answer at once.
            note = held.ask(verdict.approval_id, 0)
            self._judged_before(verdict)
            self._awaits = verdict.approval_id
            told = yield note, self._patience
            held.forget(verdict.approval_id, 0)
            self._awaits = ""
            if told is None or told.word != "allow":
                self._leave()
                raise held.unanswered(self._tool, verdict, told)
            self._approval, self._attempt = verdict.approval_id, self._attempt + 1
            verdict = yield self._ask()
        self._delay = self._judged(verdict)

    def _trying(self) -> bool:
        """Whether it is on trial, and somebody is there who counts such calls."""
        where = (self.run.trace_id, self._tool, self.run.bundle)
        return self._fuse.held.listening and self._fuse.gate.trying(*where)

    def _ask(self) -> "Waiting":
        """Ask for a verdict; where it will be, and how long to wait."""
        answer = self._fuse.held.ask(self.call_id, self._attempt)
        asked: dict[str, Any] = {
            **(self._asked or {}), "attempt": self._attempt,
            "deadline_ms": int(DEADLINE_SECONDS * 1000),
        }  # fmt: skip
        descriptor = self._fuse.held.described.get(self._tool)
        if descriptor is not None:
            asked["tools_hash"] = descriptor
        if self._approval:
            asked["approval_id"] = self._approval
        self._emit(f"{self._kind}.request", self._given, asked, True, held=True)
        return answer, DEADLINE_SECONDS

    def _judged_before(self, verdict: "Verdict") -> None:
        """This asking is over, and nothing ran; the next one is another attempt of the same call."""
        self._fuse.held.forget(self.call_id, self._attempt)
        refusal = ApprovalRequired(self._tool, verdict.approval_id, verdict.reason)
        told = {"gate": verdict.gate, "approval_id": verdict.approval_id}
        self._extra["verdict_seen"] = verdict.word
        self._not_run(refusal, told)

    def _judged(self, verdict: "Verdict | None") -> float:
        """Seconds that an allowed call still waits. Raises `Refused` for one that must not run."""
        self._fuse.held.forget(self.call_id, self._attempt)
        self._extra["verdict_seen"] = verdict.word if verdict is not None else "none"
        try:
            delay = self._fuse.held.obey(self._tool, verdict)
            self._stay_apart()
            return delay
        except Refused as refusal:
            told = {"gate": verdict.gate} if verdict is not None and verdict.gate else {}
            if isinstance(refusal, ToolDenied) and refusal.gate:
                told["gate"] = refusal.gate
            if isinstance(refusal, ApprovalRequired):
                told["approval_id"] = refusal.approval_id
            self._not_run(refusal, told, self._leave())
            raise

    def _emit(
        self,
        name: str,
        body: object,
        extra: dict[str, Any] | None,
        urgent: bool,
        held: bool = False,
    ) -> None:
        seen = self._fuse.gate.seen(self.run.trace_id, self._tool, self.run.bundle)
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
                held=held,
            )
        )


_ANSWER = {"tool": "result", "llm": "response"}


def _who_stopped(refusal: CircuitOpen) -> dict[str, Any]:
    return {"cmd_id": refusal.cmd_id, "scope": refusal.scope} if refusal.cmd_id else {}


def failure(error: BaseException | str) -> dict[str, Any]:
    """Fields of an event that failed: the class of the error, and its text for a template."""
    try:
        text = str(error)[:MESSAGE_MAX]
    except Exception:  # a foreign `__str__` may fail; the agent must not hear of it
        text = ""
    kind = "error" if isinstance(error, str) else type(error).__name__
    return {"status": "error", "error_type": kind[:WORD_MAX], "error_text": text}
