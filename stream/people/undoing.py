"""What an agent changed in one run, and what takes each change back. Pure.

    steps and states ──► Done ──┐
    the agent's file ───────────┴──► plan ──► Change: an undo tool, or the reason why there is none

Nothing here decides for the pipeline: it is what a person reads, signs (`undo_record`) and runs.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from ingest.agent_file import AgentFile

# ``can``: a tool takes it back. ``cannot``: it stays, for a reason. ``nothing``: it left nothing.
Word = Literal["can", "cannot", "nothing"]


class State(msgspec.Struct, frozen=True):
    """The world as the agent told it: keyed hash, and the content (encrypted JSON) where that is kept."""

    hash: str = ""
    content: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One action of the run, as its step tells it.

    Parameters
    ----------
    at
        When it was requested, µs UTC, by the agent's clock.
    complete
        Whether its result came.
    status
        ``ok``, ``error`` or ``not_run``.
    before, after
        The states told around it; None where none was.
    """

    call_id: str
    tool: str
    at: int = 0
    complete: bool = True
    status: str = "ok"
    decision_args: dict[str, Any] = {}
    before: State | None = None
    after: State | None = None

    @property
    def differs(self) -> bool | None:
        """Whether the state after is another than before; None where one of them was not told."""
        known = self.before is not None and self.after is not None
        if not known or not self.before.hash or not self.after.hash:  # type: ignore[union-attr]
            return None
        return self.before.hash != self.after.hash  # type: ignore[union-attr]


class Change(msgspec.Struct, frozen=True):
    """One action that may have changed something: the tool that takes it back, or why none does."""

    done: Done
    word: Word
    undo: str = ""
    reason: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What one agent changed in one trace, the newest first: so it is taken back.

    Examples
    --------
    >>> from ingest.agent_file import Tool
    >>> file = AgentFile("refunds", tools={
    ...     "crm.refund": Tool(access="write", undo="crm.unrefund"),
    ...     "crm.unrefund": Tool(access="write"), "mail.send": Tool(access="irreversible")})
    >>> done = [Done(call_id="c1", tool="crm.refund"), Done(call_id="c2", tool="mail.send")]
    >>> found = plan("acme", "refunds", "0" * 32, done, file)
    >>> [(one.done.call_id, one.undo or one.reason) for one in found.changes]
    [('c2', 'irreversible, and no undo is declared'), ('c1', 'crm.unrefund')]
    """

    tenant: str
    agent_id: str
    trace_id: str
    changes: tuple[Change, ...]

    @property
    def digest(self) -> str:
        """What a person agrees to: 32 hex digits that change with anything above."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:32]

    def of(self, word: Word) -> list[Change]:
        """Its changes of one kind, the newest first."""
        return [change for change in self.changes if change.word == word]


def plan(tenant: str, agent_id: str, trace_id: str, done: Iterable[Done], file: AgentFile) -> Plan:
    """What is to be taken back of a run.

    Parameters
    ----------
    done
        All actions of the agent in the trace, in the order in which the stream took them.
    file
        The agent's file in force: it says what a tool may do, and what takes its calls back.
    """
    changes = [_ruled(one, file) for one in done if _may_change(one, file)]
    return Plan(tenant, agent_id, trace_id, tuple(reversed(changes)))


def _may_change(done: Done, file: AgentFile) -> bool:
    """Whether it belongs into a plan: no read does, unless the states around it say otherwise."""
    return file.access(done.tool) != "read" or bool(done.differs)


def _ruled(done: Done, file: AgentFile) -> Change:
    """The first that keeps a call from being taken back, else the tool that does it."""
    if done.status == "not_run":
        return Change(done, "nothing", reason="it was refused before it ran")
    if not done.complete:
        return Change(done, "cannot", reason="nobody knows how it ended: no result came")
    if done.status == "error":
        return _failed(done)
    tool = file.tools.get(done.tool)
    if tool is None:
        return Change(done, "cannot", reason="the agent's file does not list it")
    if not tool.undo:
        word = "irreversible, and no undo is declared"
        return Change(
            done, "cannot", reason=word if tool.access == "irreversible" else "no undo is declared"
        )
    if tool.undo not in file.tools:
        reason = f"its undo {tool.undo} is not in the agent's file"
        return Change(done, "cannot", reason=reason)
    return Change(done, "can", tool.undo)


def _failed(done: Done) -> Change:
    """A call that failed owes nothing, unless the states say that it left something."""
    if done.differs:
        return Change(done, "cannot", reason="it failed, and the state after it differs")
    told = "" if done.differs is None else ", and the state is as before"
    return Change(done, "nothing", reason=f"it failed{told}")
