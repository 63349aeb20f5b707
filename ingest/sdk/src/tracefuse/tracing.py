"""What the agent's author touches: a run, and what happens in it.

    with fuse.trace(task="refund") as trace:          run.start … run.end
        with trace.tool("crm.refund", args) as call:  tool.request … tool.result
            call.result(crm.refund(…))

Nothing here raises into the agent but `Refused`, and that before the call runs.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tracefuse import clock
from tracefuse.calls import WORD_MAX, Call, Span, failure
from tracefuse.drafts import Draft, Run, amount
from tracefuse.errors import Malformed, ToolDenied
from tracefuse.events import KIND_OF
from tracefuse.grants import SHADOW
from tracefuse.guards import instead, misfit
from tracefuse.propagation import Parent, current_span, traceparent

if TYPE_CHECKING:
    from tracefuse.fuse import Fuse

T = TypeVar("T")

# Documents that one retrieval names.
DOCUMENTS_MAX = 64
# Steps that one plan names; one that names more than the pipeline reads (24) is no plan there.
STEPS_MAX = 32
# What a claim may call a call that did not succeed.
_FAILED = frozenset({"error", "failed", "failure", "not_run"})


class Trace(Span):
    """One run of the agent. Made by `Fuse.trace`; a context manager, sync and async."""

    __slots__ = ()

    def __init__(self, fuse: "Fuse", run: Run, parent: Parent | None) -> None:
        super().__init__(fuse, run, run.root, parent.span_id if parent is not None else "")

    @property
    def trace(self) -> "Trace":
        """The run that this span belongs to: itself."""
        return self

    @property
    def bundle(self) -> str:
        """The version of code, model, prompt and tools that this run is to use.

        Empty where the agent's file names none, or was not read yet: it is given as soon as it was.
        """
        if not self.run.bundle:
            self.run.bundle = self._fuse.bundle_of(self.run.trace_id, bool(self.run.probe))
        return self.run.bundle

    def __enter__(self) -> Self:
        self._enter()
        self.run.started = self._began
        self.run.lost_before = self._fuse.emitter.lost
        self._fuse.emitter.opened(self.run)
        told: dict[str, Any] = {}
        if self.run.shadow_of:
            told["shadow_of"] = self.run.shadow_of
        if self.run.expected is not None:
            told["expected"] = self.run.expected
        self._point("run.start", None, {"attrs": told} if told else None, urgent=True)
        return self

    async def __aenter__(self) -> Self:
        return self.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Where a shadow or a probe must not go on is no fault of its.
        well = error is None or (isinstance(error, ToolDenied) and error.gate == SHADOW)
        extra: dict[str, Any] = {"status": "ok"} if well or error is None else failure(error)
        extra["duration_us"] = self._leave()
        if lost := self._lost():
            extra["attrs"] = {"lost": lost}
        self._point("run.end", None, extra, urgent=error is not None)
        self._fuse.emitter.ended(self.run)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def input(self, value: T, schema: Any = None) -> T:
        """What the user asked; instruction-like and hidden text in it is marked in the event.

        Parameters
        ----------
        value
            Text or data.
        schema
            A type that msgspec understands, where it has to have a form; text is read as JSON.

        Raises
        ------
        Malformed
            To the agent's author: it does not have that form, and nothing should be done with it.
        """
        why = misfit(value, schema) if schema is not None else ""
        self._point("input.user", self._fuse.snapshot(value), _malformed(why))
        if why:
            raise Malformed("input", why)
        return value

    def system(self, value: T) -> T:
        """The instructions it runs under."""
        self._point("input.system", self._fuse.snapshot(value))
        return value

    def context(self, name: str, documents: object = None) -> None:
        """What it was decided in: a retrieval with its documents, or another contextual event.

        Of documents that are mappings, `id` and `version` travel in clear.
        """
        extra: dict[str, Any] = {"kind": "contextual"}
        if labels := _labels(documents):
            extra["documents"] = labels
        if name not in KIND_OF and not name.startswith("x."):
            name = f"x.{name}"  # the list of names is closed
        self._point(name[:WORD_MAX], self._fuse.snapshot(documents), extra)

    def plan(self, text: str, confidence: float | None = None, steps: Sequence[str] = ()) -> None:
        """What it is about to do; its text leaves as a sketch only.

        Parameters
        ----------
        steps
            Names of the tools that it is about to use, in their order; they leave in clear. A write that
            they do not name is held against the agent's habit. A later plan with steps replaces them.
        """
        names = [str(step)[:WORD_MAX] for step in steps[:STEPS_MAX]]
        extra = _sure(confidence)
        if names:
            extra["attrs"] = {"steps": names}
        self._point("plan", text if type(text) is str else self._fuse.snapshot(text), extra or None)

    def thought(self, text: str, confidence: float | None = None) -> None:
        """What it thinks; its text leaves as a sketch only. `reflection` and `decision` are alike.

        Parameters
        ----------
        confidence
            How sure it is of what it does next, 0 to 1: what the model says of itself, the probability of
            its words, or the share of several samples that agree; always the same of these. The last one
            before a call counts for it.
        """
        self._think("thought", text, confidence)

    def reflection(self, text: str, confidence: float | None = None) -> None:
        self._think("reflection", text, confidence)

    def decision(self, text: str, confidence: float | None = None) -> None:
        self._think("decision", text, confidence)

    def claim(
        self,
        tool: str,
        status: str = "success",
        args: Mapping[str, object] | object = None,
        result: object = None,
        call_id: str = "",
        times: int = 1,
    ) -> None:
        """What the agent says that it did, to be held against what was done. Never waits, never raises.

        Make it of the agent's own report, as of its final answer, not of the calls themselves. A run that
        claims nothing is not judged; one that claims its writes has to claim them all.

        Parameters
        ----------
        tool
            The tool that it says it called.
        status
            ``success``, or ``error`` where it says that the call failed.
        args, result
            Where it tells them; they leave as hashes only.
        call_id
            The very call (`Call.call_id`), where it is known; a call that is named twice is one.
        times
            So often, with one claim.
        """
        extra: dict[str, Any] = {
            "tool": tool[:WORD_MAX], "status": "error" if str(status) in _FAILED else "ok",
        }  # fmt: skip
        if args is not None:
            extra["args"] = self._fuse.snapshot(args)
        if result is not None:
            extra["answer"] = self._fuse.snapshot(result)
        if call_id:
            extra["call_id"] = call_id[:WORD_MAX]
        attrs = {"times": times if times != 1 else 0, "lost": self._lost()}
        extra["attrs"] = {name: count for name, count in attrs.items() if count}
        self._point("claim", None, extra)

    def _lost(self) -> int:
        """Events that this process has dropped since the run began; some may be the run's."""
        return max(0, self._fuse.emitter.lost - self.run.lost_before)

    def state(self, before: object = None, after: object = None) -> None:
        """The state of the world as the agent knows it, before and after it acted."""
        for name, value in (("state.before", before), ("state.after", after)):
            if value is not None:
                self._point(name, self._fuse.snapshot(value))

    def output(self, value: T, schema: Any = None) -> T | Any:
        """What the user gets.

        Parameters
        ----------
        value
            Text or data.
        schema
            A type that msgspec understands, where it has to have a form; text is read as JSON.

        Returns
        -------
        object
            The value. Without the form: what the agent's file declares as fallback of ``output``, in
            that form where the fallback has it. The same prompt again would cost and prove nothing.

        Raises
        ------
        Malformed
            To the agent's author: it does not have that form, and no fallback is declared.
        """
        why = misfit(value, schema) if schema is not None else ""
        self._point("output", self._fuse.snapshot(value), _malformed(why))
        if not why:
            return value
        grants = self._fuse.held.grants
        text = grants.fallbacks.get("output", "") if grants is not None else ""
        if not text:
            raise Malformed("output", why)
        said = instead(text, schema)
        self._point("output", self._fuse.snapshot(said), {"attrs": {"fallback": True}})
        return said

    def tool(
        self,
        name: str,
        args: Mapping[str, object] | object = None,
        approval: str = "",
        patience: float = 0.0,
        resource: str = "",
    ) -> Call:
        """A call of a tool, entered with `with` or `async with`.

        Parameters
        ----------
        name, args
            Of the tool; arguments leave as hashes only.
        approval
            Id of a person's yes to this very call, given meanwhile.
        patience
            Seconds to wait for a person where the call needs one; 0 raises at once.
        resource
            What it reads or changes, as all agents call it (``order/991``): where they are in each other's
            way there, it is told. Leaves as a hash; else ids, paths, accounts and URLs of `args` are it.

        Raises
        ------
        CircuitOpen, ToolDenied, ApprovalRequired
            To the agent's author, before the call runs.
        """
        call = Call(self, "tool", name[:WORD_MAX], self._fuse.snapshot(args))
        call._approval, call._patience = approval[:WORD_MAX], patience
        if resource:
            call._asked = {"resource": resource[:WORD_MAX]}
        return call

    def llm(self, model: str, prompt: object = None, tools: object = None) -> Call:
        """A call of a model. Prompt and tools are hashed only."""
        call = Call(self, "llm", model[:WORD_MAX], None)
        call._extra["model"] = call.name
        call._asked = {"model": call.name}
        if prompt is not None:
            call._asked["prompt"] = self._fuse.snapshot(prompt)
        if tools is not None:
            call._asked["tools"] = self._fuse.snapshot(tools)
        return call

    def handoff(self, to_agent: str) -> str:
        """The run goes on in another agent, which gets the returned `traceparent`."""
        self._point("handoff", None, {"attrs": {"to": to_agent[:WORD_MAX]}})
        return traceparent(self.run.trace_id, self._inner())

    def memory_read(self, key: object, value: T) -> T:
        """What was read from memory under a key."""
        self._point("memory.read", self._fuse.snapshot(value), {"key": self._fuse.snapshot(key)})
        return value

    def memory_write(self, key: object, value: T) -> T:
        """What is written to memory under a key."""
        self._point("memory.write", self._fuse.snapshot(value), {"key": self._fuse.snapshot(key)})
        return value

    def _inner(self) -> str:
        """The innermost open span of this trace: what happens now is its child."""
        span = current_span.get()
        return span.span_id if span is not None and span.run is self.run else self.span_id

    def _think(self, name: str, text: str, confidence: float | None) -> None:
        extra = _sure(confidence) or None
        self._point(name, text if type(text) is str else self._fuse.snapshot(text), extra)

    def _point(
        self,
        name: str,
        body: object = None,
        extra: dict[str, Any] | None = None,
        urgent: bool = False,
    ) -> None:
        """An event without a length: it bears the span it happens in."""
        parent = self.parent_span_id
        span_id = self.span_id
        span = current_span.get()
        if span is not None and span is not self and span.run is self.run:
            span_id, parent = span.span_id, span.parent_span_id
        self._fuse.emitter.emit(
            Draft(name, self.run, span_id, clock.now_us(), parent, "", "", body, extra, urgent)
        )


def _sure(confidence: object) -> dict[str, Any]:
    """How sure a thought is, where that is a number."""
    number = amount(confidence)
    return {} if number is None else {"confidence": number}


def _malformed(why: str) -> dict[str, Any] | None:
    if not why:
        return None
    return {"status": "error", "error_type": Malformed.__name__, "error_text": why}


def _labels(documents: object) -> list[dict[str, str]]:
    labels: list[dict[str, str]] = []
    if not isinstance(documents, Sequence) or isinstance(documents, (str, bytes)):
        return labels
    for document in documents[:DOCUMENTS_MAX]:
        if isinstance(document, Mapping):
            names = {k: str(document[k])[:WORD_MAX] for k in ("id", "version") if k in document}
            labels.append(names)
    return labels
