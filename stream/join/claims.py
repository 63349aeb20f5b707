"""What an agent has done in a trace, and what it says that it did, side by side. Pure.

    tool.result ──► deeds (the newest in detail, older ones counted) ─┐
    claim ────────► what is said ─────────────────────────────────────┴──► an account of each tool

Join counts. Whether a difference matters (does the tool write?) is the owner of the agent to say.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

import msgspec

from ingest.records import Account, Step
from tracefuse.events import Event

# 20 bytes each in a snapshot; an agent that claims nothing keeps 0.3 kB of an ordinary run.
DEEDS_KEPT = 12
TOOLS_MAX = 16
NAME_MAX = 64  # characters of a tool's name; one with a longer name is not judged
CLAIMS_KEPT = 12  # with their details; beyond them a claim is a number
CLAIMED_MAX = 256  # calls that one run claims; who claims more is not judged by what it leaves out
OK, FAILED, REFUSED = range(3)
_OUTCOMES = {"error": FAILED, "not_run": REFUSED}
_WITNESS = "gateway"  # where agent and gateway both report, the gateway's record wins


class Deed(NamedTuple):
    """A call that has ended: tool by its place, outcome, 32 bits of what it was given and gave back."""

    tool: int
    outcome: int
    args: int
    result: int
    witnessed: bool = False


class Said(NamedTuple):
    """A claim, `times` over. What it does not tell is 0."""

    tool: int
    times: int
    failed: bool
    args: int = 0
    result: int = 0
    call: int = 0

    @property
    def precise(self) -> int:
        """How much it tells; what tells most is looked for first."""
        return 4 * (self.call > 0) + 2 * (self.args > 0) + (self.result > 0)


class Conduct(msgspec.Struct, array_like=True):
    """What one agent did and claims in one trace.

    Notes
    -----
    1 µs a call, 4 µs once more were made than are kept; a claim is checked in some 10 µs. It fails on claims
    that tell less than they seem to: without arguments or an id, one call of a tool is as good as another.
    """

    tools: list[str] = []
    deeds: dict[int, Deed] = {}  # by call
    counted: dict[int, list[int]] = {}  # forgotten ones by tool: how many of each outcome
    before: dict[int, list[int]] = {}  # those of runs of the trace that have ended
    claims: list[Said] = []
    claimed: int = 0
    news: bool = False  # something was claimed since the last check
    lost: int = 0  # events of the run that its process could not send

    @property
    def acted(self) -> bool:
        """Whether a call of a tool has ended in this run."""
        return bool(self.deeds or self.counted)

    def did(self, step: Step, source: str) -> None:
        """A call of a tool has ended, as the agent's process or a witness reports it."""
        place = self._place(step.tool)
        if place < 0:
            return
        call = _mark(step.call_id or step.step_id)
        known = self.deeds.get(call)
        if known is not None and known.witnessed and source != _WITNESS:
            return
        self.deeds[call] = Deed(
            place, _OUTCOMES.get(step.status, OK), _mark(step.args_hash), _mark(step.result_hash),
            source == _WITNESS,
        )  # fmt: skip
        if len(self.deeds) > DEEDS_KEPT:
            self._forget()

    def claim(self, event: Event) -> None:
        """The agent says that it called a tool."""
        place, times = self._place(event.tool), event.attrs.get("times", 1)
        self.missed(event)
        if place < 0 or not isinstance(times, int) or times < 1:
            return
        self.news = True
        times = min(times, CLAIMED_MAX + 1)
        self.claimed += times
        if self.claimed > CLAIMED_MAX:
            return
        said = Said(
            place, times, event.status == "error", _mark(event.args_hash), _mark(event.result_hash),
            _mark(event.call_id),
        )  # fmt: skip
        if said.precise and len(self.claims) >= CLAIMS_KEPT:
            said = Said(place, times, said.failed)
        for at, known in enumerate(self.claims):
            if known._replace(times=times) == said:
                if not said.call:  # to name a call twice is to say the same again
                    self.claims[at] = known._replace(times=known.times + times)
                return
        self.claims.append(said)

    def missed(self, event: Event) -> None:
        """How many events of the run its process could not send, as it says itself."""
        lost = event.attrs.get("lost", 0)
        if isinstance(lost, int):
            self.lost = max(self.lost, min(lost, 10**6))

    def ended(self) -> None:
        """The run is over and was judged: the agent's next one in this trace claims for itself."""
        for deed in self.deeds.values():
            _count(self.before, deed.tool, deed.outcome)
        for place, outcomes in self.counted.items():
            for outcome, calls in enumerate(outcomes):
                _count(self.before, place, outcome, calls)
        self.deeds, self.counted, self.claims = {}, {}, []
        self.claimed, self.news, self.lost = 0, False, 0

    def accounts(
        self, others: Iterable["Conduct"], under_way: Mapping[str, int], ended: bool
    ) -> list[Account]:
        """Of each tool what was claimed and what was done; empty where nothing was claimed.

        Parameters
        ----------
        others
            The other agents of the trace: who hands work over may tell what came of it.
        under_way
            Calls of a tool that have begun, and of which nothing more is known: any may be the one.
        ended
            Whether the run has told all. Before that, nobody can say what it leaves out.
        """
        if not self.claims:
            return []
        pool = [
            *self._calls(own=True),
            *(one for other in others for one in other._calls(own=False)),
        ]
        left, sums = Counter(under_way), [Counter[str]() for _ in self.tools]
        waiting = [
            said._replace(times=1)
            for said in sorted(self.claims, key=lambda said: -said.precise)
            for _ in range(said.times)
        ]
        for perfect in (True, False):  # else a wrong claim could take a call from a right one
            rest = []
            for said in waiting:
                name = self.tools[said.tool]
                if not perfect and left[name] > 0:
                    left[name] -= 1
                    continue
                found = _found(pool, name, said, perfect)
                if found is not None:
                    found.left -= 1
                    _judge(sums[said.tool], said, found)
                elif perfect:
                    rest.append(said)
                else:
                    sums[said.tool]["missing"] += 1
            waiting = rest
        for said in self.claims:
            sums[said.tool]["claimed"] += 0 if said.failed else said.times
        for one in pool:
            if one.own and one.name in self.tools:
                _leftover(
                    sums[self.tools.index(one.name)], one, ended and self.claimed <= CLAIMED_MAX
                )
        return [
            Account(name, **dict(total))
            for name, total in zip(self.tools, sums, strict=True)
            if any(total[part] for part in total if part not in ("done", "failed"))
        ]

    def _place(self, tool: str) -> int:
        """A tool's place among those of the trace; -1 for one too many: nothing of it is judged."""
        tools = self.tools
        if tool in tools:
            return tools.index(tool)
        if len(tools) == TOOLS_MAX or not 0 < len(tool) <= NAME_MAX:
            return -1
        tools.append(tool)
        return len(tools) - 1

    def _forget(self) -> None:
        """Count the oldest call of the tool that is called most: reads are more than writes."""
        calls = [0] * len(self.tools)
        for place, *_ in self.deeds.values():
            calls[place] += 1
        often = calls.index(max(calls))
        oldest = next(call for call, deed in self.deeds.items() if deed.tool == often)
        _count(self.counted, often, self.deeds.pop(oldest).outcome)

    def _calls(self, own: bool) -> Iterable["_Calls"]:
        for call, deed in self.deeds.items():
            yield _Calls(self.tools[deed.tool], deed.outcome, own, 1, call, deed)
        for counts, mine in ((self.counted, own), (self.before, False)):
            for place, outcomes in counts.items():
                for outcome, calls in enumerate(outcomes):
                    yield _Calls(self.tools[place], outcome, mine, calls)


class _Calls:
    """Calls of one tool that ended alike, while claims are held against them."""

    __slots__ = ("call", "deed", "left", "name", "outcome", "own")

    def __init__(
        self, name: str, outcome: int, own: bool, left: int, call: int = 0, deed: Deed | None = None
    ) -> None:
        self.name, self.outcome, self.own, self.left = name, outcome, own, left
        self.call, self.deed = call, deed

    def fit(self, said: Said) -> tuple[int, int, bool]:
        """Arguments, result (2 where they agree, 1 unknown, 0 otherwise), and whether it ended so."""
        args = _agree(said.args, self.deed.args if self.deed else 0)
        result = _agree(said.result, self.deed.result if self.deed else 0)
        return args, result, (self.outcome == OK) != said.failed

    def rank(self, said: Said) -> tuple[int, bool, int, bool]:
        """How likely a claim speaks of these: what agrees first, then how it ended."""
        args, result, so = self.fit(said)
        return (args == 2) + (result == 2), so, args + result, self.own


def _found(pool: list[_Calls], name: str, said: Said, perfect: bool) -> _Calls | None:
    """The calls that a claim speaks of; with `perfect`, only where nothing speaks against it."""
    fits = [one for one in pool if one.name == name and one.left > 0]
    if said.call:
        named = [one for one in fits if one.call == said.call]
        fits = named or [one for one in fits if not one.call]  # its details may be forgotten
    best = max(fits, key=lambda one: one.rank(said), default=None)
    if best is None or (perfect and 0 in best.fit(said)):
        return None
    return best


def _judge(total: Counter[str], said: Said, found: _Calls) -> None:
    """Hold a claim against the call that it speaks of."""
    if said.failed:
        total["flipped"] += found.outcome == OK
        total["done"] += found.outcome == OK
        return
    if found.outcome != OK:
        total["false"] += 1
        total["failed"] += 1
        return
    args, result, _ = found.fit(said)
    total["done"] += 1
    total["args"] += not args
    total["results"] += not result


def _leftover(total: Counter[str], calls: _Calls, told_all: bool) -> None:
    """Calls that no claim speaks of."""
    if calls.outcome != OK:
        total["failed"] += calls.left
        return
    total["done"] += calls.left
    if told_all:
        total["unclaimed"] += calls.left


def _agree(said: int, known: int) -> int:
    return 1 if not said or not known else 2 * (said == known)


def _count(counts: dict[int, list[int]], place: int, outcome: int, calls: int = 1) -> None:
    counts.setdefault(place, [0, 0, 0])[outcome] += calls


def _mark(text: str) -> int:
    """32 bits of a hash or an id; 0 where there is none."""
    return crc32(text.encode()) if text else 0
