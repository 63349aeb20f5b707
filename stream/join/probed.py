"""What a probe's run did beside what its owner expected: a fact of join, told with the run's end. Pure.

run.start (expected) ──► tool calls, output ──► run.end ──► Probed: what differs
"""

import msgspec

from ingest.records import Probed, RunTotals
from tracefuse.events import Event
from tracefuse.expected import Expected

NAME_MAX = 97  # set/id
_MICRO = 1_000_000


class Watched(msgspec.Struct, array_like=True):
    """One probe's run so far. About 2 kB of expectation at most and 0.3 kB more; other traces have none."""

    name: str
    agent_id: str
    expected: Expected | None  # None where it could not be read: then the run is only kept apart
    calls: int = 0
    met: list[str] = []  # expected tools that were called, in the order of their first calls
    place: int = 0  # how far the expected order has come
    forbidden: list[str] = []
    args: list[str] = []  # tools with a call that had the expected arguments
    decision_args: list[str] = []
    output: str = ""

    def asked(self, event: Event, new: bool) -> None:
        """A call of a tool, run or refused; `new` where it was not told of before."""
        said = self.expected
        if said is None or event.agent_id != self.agent_id:
            return
        tool = event.tool
        if new:
            self.calls += 1
            if self.place < len(said.tools) and tool == said.tools[self.place]:
                self.place += 1
            if tool in said.tools and tool not in self.met:
                self.met.append(tool)
            if tool in said.never and tool not in self.forbidden:
                self.forbidden.append(tool)
        if event.args_hash and said.args.get(tool) == event.args_hash and tool not in self.args:
            self.args.append(tool)
        wanted = said.decision_args.get(tool)
        if wanted and tool not in self.decision_args:
            found = event.decision_args
            if all(name in found and _same(found[name], one) for name, one in wanted.items()):
                self.decision_args.append(tool)

    def answered(self, event: Event) -> None:
        """What the user would have got; the last word counts."""
        if event.agent_id == self.agent_id:
            self.output = event.result_hash

    def ended(self, event: Event, totals: RunTotals) -> Probed | None:
        """What differs from what was expected; None for the end of another agent's part."""
        said = self.expected
        if said is None or event.agent_id != self.agent_id:
            return None
        missed = [("missing", tool) for tool in dict.fromkeys(said.tools) if tool not in self.met]
        if said.in_order and not missed and self.place < len(said.tools):
            missed.append(("order", said.tools[self.place]))
        missed += [("forbidden", tool) for tool in self.forbidden]
        missed += [("arguments", tool) for tool in said.args if tool not in self.args]
        missed += [("arguments", t) for t in said.decision_args if t not in self.decision_args]
        outcome = "ok" if event.status in ("", "ok") else "error"
        if outcome != said.outcome:
            missed.append(("outcome", outcome))
        if said.output and self.output != said.output:
            missed.append(("answer", ""))
        if 0 < said.max_calls < self.calls:
            missed.append(("calls", str(self.calls)))
        if 0 < said.max_usd < totals.cost_micro / _MICRO:
            missed.append(("cost", f"{totals.cost_micro / _MICRO:.6g}"))
        return Probed(said.set, said.id, said.digest, list(dict.fromkeys(missed)))


def begun(event: Event) -> Watched | None:
    """The probe that a run is, if it is one; its expectation only where it is one."""
    name = mark(event)
    if not name:
        return None
    try:
        expected = msgspec.convert(event.attrs.get("expected"), Expected)
    except msgspec.ValidationError:
        expected = None
    return Watched(name, event.agent_id, expected)


def mark(event: Event) -> str:
    """The probe that an event belongs to; empty for users' work."""
    name = event.attrs.get("probe", "") if event.attrs else ""
    return name[:NAME_MAX] if isinstance(name, str) else ""


def _same(found: object, expected: object) -> bool:
    """Equal as JSON: 25 is 25.0, and true is not 1."""
    return isinstance(found, bool) == isinstance(expected, bool) and found == expected
