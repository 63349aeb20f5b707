"""A newcomer begins with what its siblings have learned: asked of correlate, answered in its own inbox."""

import pickle
import random

import msgspec
import pytest

from ingest import codec
from ingest.records import Baseline, Learned, Moments, Prior, Signal
from ingest.topics import BASELINES, FLEET, INBOX
from stream.correlate.correlate import Correlate
from stream.correlate.priors import (
    AGENTS_MAX,
    CALLS_MAX,
    FORGET_SECONDS,
    PREFIX,
    TOOLS_MAX,
    PriorState,
)
from stream.detect.detect import Detect
from stream.outputs import Latest, Line, Output
from stream.partition import Snapshot
from tests.fleet import Fleet
from tests.pipe import TENANT, VERIFIER, found, registered, signals, trace_id
from tracefuse import wire

TOOL = "crm.find"
SIBLINGS = 5


class Kin(Fleet):
    """Siblings with 150 calls of one tool behind them, of which one in fifty failed."""

    def __init__(self, siblings: int = SIBLINGS, correlating: bool = True, **owners: str):
        super().__init__(0, correlating=correlating)
        self.rng = random.Random(7)
        self._owners = owners
        for n in range(siblings):
            self.join(f"old-{n}")
            self.call(f"old-{n}", 150, 0.02)

    def join(self, name: str) -> None:
        owner = {"name": self._owners.get(name, "Payments")}
        self.tell(registered(name, tools={TOOL: {"access": "read"}}, owner=owner))

    def call(self, name: str, calls: int, rate: float, tool: str = TOOL) -> list[Output]:
        """Calls one after the other, ten a second: never enough at once for a rule."""
        told, out = self._of(name, TENANT), list[Output]()
        for _ in range(calls):
            told.trace_id = trace_id(len(self.logs[INBOX, 0]) + 1 + self.rng.randrange(10**9))
            failed = self.rng.random() < rate
            self.now += 10.0
            self.correlate.partition.now = max(self.correlate.partition.now, self.now)
            status = {"status": "error"} if failed else {}
            out += self.send(*told.call(self.rng.randrange(10**9), tool=tool, **status))
        return out

    @property
    def priors(self) -> list[Prior]:
        return list(found(self.wide, INBOX, Prior))


def odd(outputs: list[Output]) -> list[Signal]:
    return [one for one in signals(outputs) if one.detector == "error_baseline"]


def learned(agent_id: str, calls: float = 150, failures: float = 3, **more: object) -> Learned:
    said = {
        "src": (INBOX, 0, 1, 0, 0), "tenant": TENANT, "agent_id": agent_id, "tool": TOOL,
        "calls": calls, "failures": failures,
    }  # fmt: skip
    return Learned(**(said | more))  # type: ignore[arg-type]


class Asked:
    """Correlate alone, told line by line."""

    def __init__(self) -> None:
        self.core = Correlate(0, VERIFIER)
        self.offset = 0
        self.now = 1000.0

    def __call__(self, *facts: Learned) -> list[Output]:
        out: list[Output] = []
        for fact in facts:
            self.offset += 1
            fact.src = (INBOX, 0, self.offset, 0, 0)
            headers = [(wire.KIND, codec.SUMMARIES)]
            out += self.core.apply(self.offset, self.now, headers, codec.encode(fact))
        return out

    def prior(self, agent_id: str, peers: str = "") -> Prior | None:
        told: list[Prior] = found(
            self(learned(agent_id, 0, 0, peers=peers, asks=True)), INBOX, Prior
        )
        return told[0] if told else None


def test_a_faulty_newcomer_is_found_by_its_siblings() -> None:
    """A third of its calls fails: found within 40 calls, and by whom is said; its twin is silent."""
    kin = Kin()
    for name in ("new", "twin"):
        kin.join(name)
    faulty, healthy = odd(kin.call("new", 60, 0.35)), odd(kin.call("twin", 200, 0.02))

    assert faulty and faulty[0].n <= 40
    assert (faulty[0].status, faulty[0].evidence["siblings"]) == ("cold", SIBLINGS)
    assert "by 5 sibling agents" in faulty[0].sentence
    assert healthy == []


@pytest.mark.parametrize(("siblings", "correlating"), [(SIBLINGS, False), (2, True)])
def test_without_siblings_it_stays_unseen(siblings: int, correlating: bool) -> None:
    """Control: correlate is away, or there are too few to tell how much agents differ."""
    kin = Kin(siblings, correlating)
    kin.join("new")

    assert odd(kin.call("new", 60, 0.35)) == []
    assert kin.priors == []


def test_replayed_alone_the_owner_decides_alike() -> None:
    """The prior lies in the owner's log: nothing but that log is needed to decide the same again."""
    kin = Kin()
    kin.join("new")
    kin.call("new", 60, 0.35)
    number = wire.partition_of(wire.agent_key(TENANT, "new"))
    said = [
        line for line in kin.out if isinstance(line, Line) and b'"agent_id":"new"' in line.value
    ]
    again = Detect(number, VERIFIER)
    out = [one for record in kin.logs[INBOX, number] for one in again.apply(*record)]
    without = Detect(number, VERIFIER)
    blind = [
        one for record in kin.logs[INBOX, number] if b'"type":"prior"' not in record.value
        for one in without.apply(*record)
    ]  # fmt: skip

    assert [
        one for one in out if isinstance(one, Line) and b'"agent_id":"new"' in one.value
    ] == said
    assert odd(out) and not odd(blind)


def test_a_prior_told_twice_acts_once() -> None:
    """Correlate repeats what it said after a crash; the second copy finds its source mark taken."""
    kin = Kin()
    kin.join("new")
    kin.call("new", 5, 0.0)
    number = wire.partition_of(wire.agent_key(TENANT, "new"))
    agent = kin.detects[number].partition.get(wire.agent_key(TENANT, "new"))
    assert agent is not None
    before = pickle.dumps(agent.tools[TOOL].baseline)
    changed = msgspec.structs.replace(kin.priors[-1], failed=None, seconds=None)
    (line,) = [one for one in kin.logs[INBOX, number] if b'"type":"prior"' in one.value][-1:]
    kin.inbox(number, line.value)
    kin.inbox(number, codec.encode(changed))

    assert pickle.dumps(agent.tools[TOOL].baseline) == before
    assert agent.tools[TOOL].baseline.siblings == SIBLINGS


def test_who_asks_does_not_answer_itself() -> None:
    """An agent that fails always would else expect just that of itself."""
    asked = Asked()
    asked(*(learned(f"a{n}") for n in range(3)), learned("bad", 150, 150))
    prior = asked.prior("bad")

    assert prior is not None and prior.failed is not None
    assert (prior.failed.siblings, prior.failed.mean < 0.05) == (3, True)


def test_who_calls_most_speaks_no_louder() -> None:
    """A million calls count as two hundred."""
    asked, even = Asked(), Asked()
    asked(learned("huge", 1e6, 3e5), *(learned(f"a{n}") for n in range(3)))
    even(learned("huge", CALLS_MAX, 60), *(learned(f"a{n}") for n in range(3)))
    huge, same = asked.prior("new"), even.prior("new")

    assert huge is not None and same is not None
    assert huge.failed == same.failed


def test_a_few_calls_are_no_experience() -> None:
    """Who has learned nothing yet is nobody's sibling."""
    asked = Asked()
    asked(*(learned(f"a{n}", 29, 1) for n in range(9)))

    assert asked.prior("new") is None


def test_the_owners_agents_come_before_the_tenants() -> None:
    """Three of the same owner are enough; fewer, and all agents of the tenant speak."""
    asked = Asked()
    asked(*(learned(f"p{n}", peers="Payments") for n in range(3)))
    asked(*(learned(f"s{n}", 150, 75, peers="Sales") for n in range(2)))
    near, far = asked.prior("new", "Payments"), asked.prior("new", "Sales")

    assert near is not None and near.failed is not None and far is not None
    assert (near.peers, near.failed.siblings) == ("Payments", 3)
    assert far.failed is not None and (far.peers, far.failed.siblings) == ("", 5)


def test_tenants_and_tools_stay_apart() -> None:
    """What one tenant's agents do tells nothing to another's, nor one tool of another."""
    asked = Asked()
    asked(*(learned(f"a{n}") for n in range(5)))
    asked(*(learned(f"a{n}", tool="other") for n in range(2)))

    assert found(asked(learned("new", 0, 0, asks=True, tenant="else")), INBOX, Prior) == []
    assert found(asked(learned("new", 0, 0, asks=True, tool="other")), INBOX, Prior) == []


def test_only_tools_of_its_file_are_told() -> None:
    """Names that an agent invents reach nobody: a person signed the list."""
    kin = Kin(0)
    kin.join("new")
    kin.call("new", 20, 0.0, tool="invented")
    told = [line for line in kin.out if isinstance(line, Line) and line.topic == FLEET]

    assert [line for line in told if b'"type":"learned"' in line.value] == []


def test_an_agent_tells_seldom() -> None:
    """Four times in its first 150 calls, and then as often as they double."""
    kin = Kin(1)
    told = [line.value for line in kin.out if isinstance(line, Line) and line.topic == FLEET]

    assert len([line for line in told if b'"type":"learned"' in line]) == 4


def test_people_find_the_newest_prior_under_its_group() -> None:
    """`agent.baselines.v1` is compacted: its key names tenant, owner and tool."""
    asked = Asked()
    out = asked(*(learned(f"p{n}", peers="Payments") for n in range(4)))
    told = [one for one in out if isinstance(one, Latest)]
    newest = msgspec.json.decode(told[-1].value, type=Baseline)

    assert {(one.topic, one.key) for one in told} == {(BASELINES, f"{TENANT}/Payments/{TOOL}")}
    assert len(told) == 2  # from the third on
    assert newest.failed is not None and newest.failed.siblings == 4


def test_correlate_remembers_so_much_and_so_long() -> None:
    """Agents of a tool, tools of all tenants, and a week: beyond it the oldest goes, or nothing comes in."""
    state = PriorState()
    for n in range(AGENTS_MAX + 9):
        state.take(learned(f"a{n}", seconds=Moments(200, 1.0, 0.1)))
    asked = Asked()
    for n in range(TOOLS_MAX + 3):
        asked(learned("a", tool=f"t{n}"))
    partition = asked.core.partition
    full = len(partition)
    asked.now += FORGET_SECONDS
    asked(learned("a", tool="last"))

    assert next(iter(state.agents)) == "a9" and len(state.agents) == AGENTS_MAX
    assert len(msgspec.msgpack.encode(state)) < 8192
    assert full == TOOLS_MAX
    assert partition.get(f"{PREFIX}{TENANT}/last") is not None and len(partition) == 1


def test_a_checkpoint_holds_what_was_learned() -> None:
    """Another correlate goes on with the same siblings."""
    asked = Asked()
    asked(*(learned(f"a{n}", seconds=Moments(150, 1.0, 0.1)) for n in range(4)))
    snapshot: Snapshot = asked.core.freeze()
    while asked.core.partition.encode_some(snapshot):
        pass
    after = Asked()
    after.offset, after.now = asked.offset, asked.now
    cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
    after.core.restore(snapshot.marker, cells)

    assert after.prior("new") == asked.prior("new") is not None
