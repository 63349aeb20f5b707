"""A made fleet in front of the pure core of detect: records by time, ticks, obedience. Pure, seeded."""

import random
from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf

import msgspec

from ingest import codec
from ingest.records import Ack, Alive, Run, Signal, Step
from ingest.topics import FLEET, SIGNALS
from stream.detect.detect import Detect
from stream.detect.registering import sealed
from stream.outputs import Line, Order, Output
from tests.benchmarks.detection.month_faults import Fault
from tests.benchmarks.detection.month_habits import DAY, TENANT, Habits, file_of
from tests.benchmarks.detection.month_runs import Play, Told
from tests.pipe import REGISTRY, VERIFIER
from tracefuse import wire

Fact = Step | Run | Alive | Ack
TICK = 1.4  # record time that jumps further would count as an outage
_HEADERS: wire.Headers = [(wire.KIND, codec.INBOX)]
_TICKS: wire.Headers = [(wire.KIND, codec.TICK)]
_signal = msgspec.json.Decoder(Signal).decode


class Heard(msgspec.Struct):
    """One signal, and whether its owner was told of it."""

    signal: Signal
    told: bool


class Fleet:
    """All agents of the month in one partition of detect.

    Attributes
    ----------
    heard
        All signals, in order.
    steps
        Steps that completed.
    runs
        Runs by agent.
    """

    def __init__(
        self, agents: list[Habits], faults: dict[str, list[Fault]], begins: float, days: float, seed: int
    ) -> None:  # fmt: skip
        self.detect = Detect(0, VERIFIER)
        self.heard: list[Heard] = []
        self.steps = 0
        self.now = begins
        self.begins, self.ends = begins, begins + days * DAY
        self._agents, self._faults, self._seed = agents, faults, seed
        self._stopped: dict[str, dict[str, str]] = {agent.name: {} for agent in agents}
        self._heap: list[tuple[float, int, Iterator[Told], tuple[float, Fact]]] = []
        self._offset = self._order = 0
        self.runs: Counter[str] = Counter()

    def play(self) -> None:
        """The whole month."""
        for agent in self._agents:
            self._apply(_HEADERS, codec.encode(sealed(file_of(agent), REGISTRY)))
            self._next(self._arrivals(agent))
        while self._heap:
            at, _, source, told = heappop(self._heap)
            self._pass(at)
            self._tell(told[1])
            self._next(source)

    # -- time and records ------------------------------------------------------------------------

    def _next(self, source: Iterator[Told]) -> None:
        told = next(source, None)
        if told is not None and told[0] < self.ends:
            self._order += 1
            heappush(self._heap, (told[0], self._order, source, told))

    def _pass(self, at: float) -> None:
        while at - self.now > TICK:
            self.now += TICK
            self._apply(_TICKS, b"{}")
        self.now = max(self.now, at)

    def _tell(self, fact: Fact) -> None:
        if isinstance(fact, Step) and fact.phase == "complete":
            self.steps += 1
        fact.src = ("agent.events.v1", 0, self._offset, 0, 0)
        self._apply(_HEADERS, codec.encode(fact))

    def _apply(self, headers: wire.Headers, value: bytes) -> None:
        self._offset += 1
        out = self.detect.apply(self._offset, self.now, headers, value)
        if out:
            self._hear(out)

    # -- what the agents hear, and what people hear ------------------------------------------------

    def _hear(self, out: list[Output]) -> None:
        for one in out:
            if isinstance(one, Order):
                self._obey(one)
            elif isinstance(one, Line) and one.topic == SIGNALS:
                self.heard.append(Heard(_signal(one.value), told=False))
            elif isinstance(one, Line) and one.topic == FLEET and b'"summary"' in one.value[:40]:
                self.heard[-1].told = True

    def _obey(self, order: Order) -> None:
        """The agent's gate does as it is told, and says so."""
        command = order.command
        name = command.scope.partition(":")[2].split("/")[1]
        stops = self._stopped[name]
        if command.state in ("open", "forced_open"):
            stops[command.scope] = command.cmd_id
        else:
            stops.pop(command.scope, None)
        ack = Ack(tenant=TENANT, agent_id=name, trace_id="", event_id="ack",
                  emitted_at=int(self.now * 1e6), cmd_id=command.cmd_id, scope=command.scope,
                  epoch=command.epoch, state=command.state)  # fmt: skip
        self._order += 1
        heappush(self._heap, (self.now + 0.05, self._order, iter(()), (self.now + 0.05, ack)))

    # -- work --------------------------------------------------------------------------------------

    def _arrivals(self, agent: Habits) -> Iterator[Told]:
        """Runs begin at random moments, more of them by day; each plays on beside the others."""
        rng = random.Random(f"{self._seed}/{agent.name}")
        at, deploys = self.begins, [*agent.deploys, inf]
        faults = self._faults[agent.name]
        while at < self.ends:
            fastest = agent.runs_a_day / DAY * 1.8 * (10.0 if self._near(agent, at) else 1.0)
            gap = rng.expovariate(fastest)
            pace = (b.begins - 120 for b in agent.bursts if at < b.begins - 120 < at + gap)
            if (changes := next(pace, None)) is not None:
                at = changes  # the pace changes: draw again from here
                continue
            at += gap
            if rng.random() * fastest > agent.rate(at):
                continue
            while at > deploys[0]:
                agent.deploy(rng)
                del deploys[0]
            near = [fault for fault in faults if fault.begins - DAY <= at < fault.ends]
            self.runs[agent.name] += 1
            trace = f"{rng.getrandbits(128):032x}"
            play = Play(
                agent,
                trace,
                at,
                random.Random(rng.getrandbits(64)),
                near,
                self._stopped[agent.name],
            )
            facts = play.facts()
            first = next(facts, None)
            if first is not None:
                yield first
                self._next(facts)

    def _near(self, agent: Habits, at: float) -> bool:
        return any(burst.begins - 120 <= at < burst.ends for burst in agent.bursts)
