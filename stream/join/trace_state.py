"""What join remembers of one trace: its actions, the notes between them, totals and repetition. Pure.

Reasoning and context belong to an action by the producer's own order (`boot_id`, `seq`), never by the
order of arrival: the notes between the previous request and this one. So final steps are equal under
any order of arrival, within the last `ACTIONS_KEPT` actions of a producer.
"""

from bisect import bisect_left, insort
from collections import Counter
from hashlib import blake2b
from math import inf

import msgspec

from ingest.records import Account, Answered, Ref, RunTotals, Step
from stream.join.claims import Conduct
from stream.join.origins import Origins
from stream.join.plans import Plan
from stream.join.probed import Watched
from stream.join.progress import Progress
from stream.join.support import Support
from stream.join.triggers import Order
from tracefuse.events import KIND_OF

# Actions of a producer that a late event may still change. A snapshot of a trace stays near 10 kB.
ACTIONS_KEPT = 8
OPEN_KEPT = 64  # calls in flight at once, of one producer
CALLS_KEPT = 128  # calls whose two events can still find each other
NOTES_KEPT = 32  # the newest notes of one producer; a step shows no more
SEEN_KEPT = 1024  # event ids for deduplication
PRODUCERS_MAX = 16  # processes of one trace; beyond them the oldest goes
AGENTS_MAX = 64

Note = tuple[int, Ref]  # seq, what it was


class Action(msgspec.Struct, array_like=True):
    """One operational action of a producer, with the step as last written."""

    seq: int
    step: Step


class Producer(msgspec.Struct, array_like=True):
    """One process' part of a trace, in its own order."""

    actions: list[Action] = []
    notes: list[Note] = []

    def insert(self, action: Action) -> list[Action]:
        """Put an action into its place; returns it and its neighbours, whose notes may change."""
        at = bisect_left(self.actions, action.seq, key=_seq)
        self.actions.insert(at, action)
        near = self.actions[max(0, at - 1) : at + 2]
        self._prune()
        return near

    def find(self, seq: int, step_id: str) -> Action | None:
        """The action at `seq`, if it is still kept; a careless producer has several there."""
        at = bisect_left(self.actions, seq, key=_seq)
        while at < len(self.actions) and self.actions[at].seq == seq:
            if self.actions[at].step.step_id == step_id:
                return self.actions[at]
            at += 1
        return None

    def remove(self, action: Action) -> list[Action]:
        """Take an action out, to put it elsewhere; returns its neighbours, who inherit its notes."""
        at = next(i for i, known in enumerate(self.actions) if known is action)
        del self.actions[at]
        return self.actions[max(0, at - 1) : at + 1]

    def note(self, seq: int, ref: Ref) -> list[Action]:
        """Keep a note; returns the actions whose step may change by it."""
        actions = self.actions
        if (not self.notes or self.notes[-1][0] < seq) and (not actions or actions[-1].seq < seq):
            self.notes.append((seq, ref))  # in order, as nearly always
            del self.notes[:-NOTES_KEPT]
            return actions[-1:] if ref.name == "state.after" else []
        insort(self.notes, (seq, ref), key=_seq_of_note)
        del self.notes[:-NOTES_KEPT]
        at = bisect_left(actions, seq, key=_seq)
        return actions[max(0, at - 1) : at + 1]

    def attach(self, action: Action) -> bool:
        """Give an action the notes that are its own; tells whether its step changed."""
        at = bisect_left(self.actions, action.seq, key=_seq)
        if at == len(self.actions) or self.actions[at] is not action:
            return False  # too old to change
        before = self.actions[at - 1].seq if at else -1
        after = self.actions[at + 1].seq if at + 1 < len(self.actions) else inf
        step = action.step
        reasoning: list[Ref] = []
        context: list[Ref] = []
        begun = ended = ""
        for seq, ref in self._between(before, after):
            if ref.name == "state.after":
                ended = ref.event_id if seq > action.seq else ended
            elif seq < action.seq:
                (context if KIND_OF.get(ref.name) == "contextual" else reasoning).append(ref)
                begun = ref.event_id if ref.name == "state.before" else begun
        if (reasoning, context, begun, ended) == (
            step.reasoning, step.context, step.state_before, step.state_after,
        ):  # fmt: skip
            return False
        step.reasoning, step.context, step.state_before, step.state_after = (
            reasoning, context, begun, ended,
        )  # fmt: skip
        return True

    def _between(self, before: float, after: float) -> list[Note]:
        """Notes between two places, oldest first."""
        found = []
        for note in reversed(self.notes):
            if note[0] <= before:
                break
            if note[0] < after:
                found.append(note)
        return found[::-1]

    def _prune(self) -> None:
        """Forget the oldest finished action beyond the limit, and the notes that were its own."""
        if len(self.actions) <= ACTIONS_KEPT:
            return
        done = (i for i, a in enumerate(self.actions) if a.step.phase == "complete")
        at = 0 if len(self.actions) > OPEN_KEPT else next(done, None)
        if at is None:
            return
        before, gone = (self.actions[at - 1].seq if at else -1), self.actions.pop(at).seq
        self.notes = [note for note in self.notes if not before < note[0] < gone]


def _seq(action: Action) -> int:
    return action.seq


def _seq_of_note(note: Note) -> int:
    return note[0]


class Member(msgspec.Struct, array_like=True):
    """One agent in the trace: totals, keys of its last calls, what it reached, whether its run is open."""

    totals: RunTotals
    calls: list[str]
    open: bool = False
    depth: int = 0  # agents above it
    progress: Progress = msgspec.field(default_factory=Progress)
    plan: Plan = msgspec.field(default_factory=Plan)
    answer: Answered | None = None  # the newest of its run
    conduct: Conduct = msgspec.field(default_factory=Conduct)
    order: Order = msgspec.field(default_factory=Order)


class Trace(msgspec.Struct, array_like=True):
    """One trace of one tenant."""

    tenant: str = ""
    trace_id: str = ""
    last: int = 0
    deadline: float = inf
    producers: dict[str, Producer] = {}
    members: dict[str, Member] = {}
    calls: dict[str, tuple[str, int]] = {}  # step id of an agent -> producer, seq of its action
    seen: dict[int, None] = {}
    origins: Origins = msgspec.field(default_factory=Origins)
    handoffs: list[str] = []  # the last 32, each by what it was about
    support: Support = msgspec.field(default_factory=Support)
    unsettled: dict[str, tuple[str, int]] = {}  # agents whose claims wait; how their runs ended
    probe: Watched | None = None  # where the trace is a probe's

    def first_time(self, event_id: str) -> bool:
        """Whether an event is new to this trace; remembers it."""
        number = hash_of(event_id)
        if number in self.seen:
            return False
        self.seen[number] = None
        if len(self.seen) > SEEN_KEPT:
            del self.seen[next(iter(self.seen))]
        return True

    def producer(self, name: str) -> Producer:
        """A process of one agent: who claims another's boot id must not reach its actions."""
        known = self.producers.get(name)
        if known is None:
            known = self.producers[name] = Producer()
            if len(self.producers) > PRODUCERS_MAX:
                del self.producers[next(iter(self.producers))]
        return known

    def find(self, call: str, step_id: str) -> tuple[Producer, Action] | None:
        """The action of a call and the process that holds it."""
        name, seq = self.calls.get(call, ("", 0))
        holder = self.producers.get(name)
        action = holder.find(seq, step_id) if holder is not None else None
        return (holder, action) if holder is not None and action is not None else None

    def place(self, call: str, name: str, seq: int) -> None:
        """Remember where a call's action is; the oldest that is over is forgotten first."""
        self.calls[call] = (name, seq)
        if len(self.calls) > CALLS_KEPT:
            over = (known for known in self.calls if not self._runs(known))
            del self.calls[next(over, next(iter(self.calls)))]

    def accounts(self, agent_id: str, ended: bool) -> list[Account]:
        """What an agent claims to have done and what the trace has seen of it, by tool."""
        others = (one.conduct for name, one in self.members.items() if name != agent_id)
        under_way = Counter(
            action.step.tool
            for producer in self.producers.values() for action in producer.actions
            if action.step.action == "tool" and action.step.phase == "request"
        )  # fmt: skip
        return self.member(agent_id).conduct.accounts(others, under_way, ended)

    def _runs(self, call: str) -> bool:
        known = self.find(call, call.partition("/")[2])
        return known is not None and known[1].step.phase == "request"

    def join(self, agent_id: str, parent: str) -> None:
        """An agent's first event: it works below the one whose call its `parent` span is.

        Below anybody where that call is not known any more; at the top where it is the first.
        """
        if agent_id in self.members:
            return
        above = 1 if parent and self.members else 0
        for name, producer in self.producers.items():
            if any(action.step.span_id == parent for action in producer.actions):
                caller = self.members.get(name.rpartition("/")[0])
                above = caller.depth + 1 if caller is not None else above
        self.member(agent_id).depth = above

    def member(self, agent_id: str) -> Member:
        known = self.members.get(agent_id)
        if known is None:
            known = self.members[agent_id] = Member(RunTotals(), [])
            if len(self.members) > AGENTS_MAX:
                del self.members[next(iter(self.members))]
        return known


def hash_of(event_id: str) -> int:
    """63 bits of an event id: the random end of a UUIDv7, a stable hash of any other id.

    Other ids may differ in their beginning alone, as those of UUIDv1 do.
    """
    if len(event_id) == 36 and event_id[14] == "7":
        try:
            return int(event_id[19:23] + event_id[24:], 16) & 0x7FFF_FFFF_FFFF_FFFF
        except ValueError:
            pass
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest()) >> 1
