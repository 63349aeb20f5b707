"""Incidents made into regression cases, from the facts that Kafka still holds. Writes nothing to Kafka.

Each case is played before it is handed out: one whose detector would not speak again is none.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import msgspec

from ingest import codec
from ingest.agent_file import AgentFile
from ingest.keys import Keys
from ingest.reading import whole
from ingest.records import Ack, Alive, Registered, Run, Step
from ingest.settings import Settings
from ingest.topics import INBOX
from stream.detect.registering import opened
from stream.people import registration
from stream.replay.cases import FACTS_MAX, Case, Expected, smallest
from tracefuse import wire
from tracefuse.errors import DecodeError
from tracefuse.signing import CommandVerifier

RECENT_SECONDS = 300.0  # of an agent's past that rates and breakers look back on
_ROUNDED = 0.001  # record times are milliseconds
_Fact = tuple[float, str, bytes]  # record time, trace id, line


@dataclass(frozen=True, slots=True)
class Told:
    """One incident, as the store holds it with its signal."""

    incident_id: str
    tenant: str
    agent_id: str
    label: str
    expected: Expected


class Past:
    """One agent's inbox as it goes by: the newest facts, the file, and incidents that are not cases yet.

    Parameters
    ----------
    told
        The agent's incidents.
    known
        The file in force today, should the log no longer tell which was in force then.
    """

    def __init__(self, told: list[Told], known: AgentFile | None) -> None:
        self.cases: list[Case] = []
        self.lost: list[Told] = []
        self._told = deque(sorted(told, key=lambda one: one.expected.at))
        self._facts: deque[_Fact] = deque(maxlen=FACTS_MAX)
        self._file = known

    def hear(self, at: float, trace_id: str, line: bytes) -> None:
        """The next fact; incidents before it are made into cases from what came until then."""
        self.cut(at)
        self._facts.append((at, trace_id, line))

    def rule(self, at: float, file: AgentFile) -> None:
        """A version comes into force."""
        self.cut(at)
        self._file = file

    def cut(self, at: float) -> None:
        """Make cases of all incidents before this moment."""
        while self._told and self._told[0].expected.at < at - _ROUNDED:
            told = self._told.popleft()
            case = smallest(self._longer(told))
            self.lost.append(told) if case is None else self.cases.append(case)

    def _longer(self, told: Told) -> Iterator[Case]:
        """Cases of one incident, each with a longer past: the run, some minutes, all that fits."""
        if self._file is None:
            return
        until, trace_id = told.expected.at, told.expected.trace_id
        for facts in (
            [fact for fact in self._facts if fact[1] == trace_id],
            [fact for fact in self._facts if fact[0] > until - RECENT_SECONDS],
            self._facts,
        ):
            lines = [(at, msgspec.Raw(line)) for at, _, line in facts]
            yield Case(
                incident_id=told.incident_id, label=told.label, file=self._file, facts=lines,
                expected=told.expected,
            )  # fmt: skip


async def cases(settings: Settings, keys: Keys, told: list[Told]) -> tuple[list[Case], list[Told]]:
    """Cases of these incidents, and those of which no case can be made any more."""
    if not told:
        return [], []
    known = await registration.in_force(settings, keys)
    agents: dict[str, list[Told]] = {}
    for one in told:
        agents.setdefault(wire.agent_key(one.tenant, one.agent_id), []).append(one)
    pasts = {key: Past(found, known.get(key)) for key, found in agents.items()}
    numbers = sorted({wire.partition_of(key) for key in agents})
    verifier = keys.verifier()
    async for record in whole(settings.bootstrap, INBOX, numbers):
        if wire.header(record.headers, wire.KIND) == codec.INBOX:
            _take(pasts, record.timestamp / 1000, record.value, verifier)
    for past in pasts.values():
        past.cut(inf)
    made = [case for past in pasts.values() for case in past.cases]
    return made, [one for past in pasts.values() for one in past.lost]


def _take(pasts: dict[str, Past], at: float, value: bytes, verifier: CommandVerifier) -> None:
    for line in codec.lines(value):
        try:
            fact = codec.fact(line)
        except DecodeError:
            continue
        if not isinstance(fact, Step | Run | Alive | Ack | Registered):
            continue
        key = wire.agent_key(fact.tenant, fact.agent_id)
        past = pasts.get(key)
        if past is None:
            continue
        if not isinstance(fact, Registered):
            past.hear(at, fact.trace_id, line)
            continue
        try:
            past.rule(at, opened(key, fact.kid, fact.sig, fact.payload, verifier))
        except ValueError:
            continue  # it never came into force
