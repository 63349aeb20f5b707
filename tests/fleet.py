"""Many agents and correlate behind their owners, with the way between them as slow as told. Pure."""

from collections import deque
from typing import Any

from ingest import codec
from ingest.records import Incident
from ingest.topics import FLEET, INBOX, INCIDENTS, PARTITIONS
from stream.correlate.correlate import Correlate
from stream.detect.detect import Detect
from stream.outputs import Line, Output, Placed
from tests.pipe import START, TENANT, VERIFIER, Pipe, Told, commands, found, trace_id
from tracefuse import wire


class Fleet(Pipe):
    """Owners of agents in every partition, and correlate.

    Parameters
    ----------
    size
        Agents of `TENANT` that are at work from the beginning.
    delay
        Seconds from what an owner tells until correlate and then all owners know.
    correlating
        False: correlate is dead.

    Examples
    --------
    >>> fleet = Fleet(30)
    >>> for name in fleet.names:
    ...     _ = fleet.fail(name)
    >>> len(fleet.opened)
    3
    """

    def __init__(self, size: int, delay: float = 0.0, correlating: bool = True):
        super().__init__(START)
        self.correlate = Correlate(0, VERIFIER)
        self.detects = {number: Detect(number, VERIFIER) for number in range(PARTITIONS)}
        self.wide: list[Output] = []  # all that correlate has said
        self.opened: list[tuple[float, str, str]] = []  # when, which agent, by which rule
        self._delay, self._correlating = delay, correlating
        self._way: deque[tuple[float, bytes]] = deque()
        self._told: dict[tuple[str, str], Told] = {}
        self.names = [f"agent-{n}" for n in range(size)]
        for name in self.names:
            self.work(name)
        self.wait(2.0)

    def work(self, name: str, tenant: str = TENANT) -> list[Output]:
        """An agent makes a call that goes well."""
        return self.send(*self._of(name, tenant).call(0, tool="fine", args_hash=str(self.now)))

    def fail(self, name: str, tenant: str = TENANT, **more: Any) -> list[Output]:
        """Twenty calls of an agent fail, of as many tools: its own error rate is what counts."""
        told, calls = self._of(name, tenant), list[Any]()
        for n in range(20):
            calls += told.call(n, **({"tool": f"tool-{n}", "status": "error"} | more))
        return self.send(*calls)

    def _of(self, name: str, tenant: str) -> Told:
        number = len(self._told) + 1
        return self._told.setdefault(
            (tenant, name), Told(name, trace_id(number), f"b-{name}", tenant=tenant)
        )

    def inbox(self, number: int, value: bytes, kind: bytes = codec.INBOX) -> list[Output]:
        out = super().inbox(number, value, kind)
        self.opened += [
            (self.now, command.scope, command.reason.rule) for command in commands(out)
            if command.scope.startswith("agent:") and command.state == "open"
        ]  # fmt: skip
        self._way += [
            (self.now + self._delay, said.value) for said in out
            if isinstance(said, Line) and said.topic == FLEET
        ]  # fmt: skip
        self._deliver()
        return out

    def _deliver(self) -> None:
        while self._way and self._way[0][0] <= self.now:
            line = self._way.popleft()[1]
            if self._correlating:
                self.tell_correlate(line)

    def tell_correlate(self, line: bytes) -> list[Output]:
        """One line of `agent.fleet.v1`; what follows for owners of agents reaches them."""
        record = self._log(FLEET, 0, [(wire.KIND, codec.SUMMARIES)], line)
        out = list(self.correlate.apply(*record))
        self.wide += out
        for said in out:
            if isinstance(said, Placed):
                assert said.topic == INBOX
                self.inbox(said.partition, said.value, said.kind)
            elif isinstance(said, Line) and said.topic == INBOX:
                self.inbox(wire.partition_of(said.key), said.value, said.kind)
        return out

    def tick(self) -> list[Output]:
        """A tick in every partition, that of correlate among them."""
        out = super().tick()
        if self._correlating:
            record = self._log(FLEET, 0, [(wire.KIND, codec.TICK)], b"{}")
            self.wide += self.correlate.apply(*record)
        return out

    @property
    def incidents(self) -> list[Incident]:
        """What people are told."""
        return found(self.wide, INCIDENTS, Incident)
