"""The blast-radius brake: soft rules stop a tenth of a tenant's agents in five minutes, then people do."""

from dataclasses import replace

import msgspec
import pytest

from detectors import CATALOGUE
from ingest import codec
from ingest.records import Braked, Run
from ingest.topics import FLEET, INBOX
from stream.agent.agent_state import new_agent
from stream.agent.breaker import WAIT, State, Tripped
from stream.agent.finding import Finding
from stream.agent.saying import Saying
from stream.correlate.correlate import Correlate
from stream.detect.detect import Detect
from stream.outputs import Line, Output, Placed
from stream.stopping.brake import BRAKED_MAX, OPENINGS_MAX, TENANTS_MAX, WINDOW, Brakes, TenantState
from stream.stopping.withholding import Withholding
from tests.fleet import Fleet
from tests.pipe import TENANT, VERIFIER, commands, registered, signals, summaries
from tracefuse import wire


def fail_all(fleet: Fleet) -> None:
    for name in fleet.names:
        fleet.fail(name)


def braked(outputs: list[Output]) -> list[float]:
    """Until when, as each owner was told: once for all of them."""
    lines = [out for out in outputs if isinstance(out, Placed)]
    told = [msgspec.json.decode(line.value, type=Braked).until for line in lines]
    assert [line.partition for line in lines] == list(range(8)) * (len(lines) // 8)
    return told[::8]


@pytest.mark.parametrize(("size", "stopped"), [(1, 1), (9, 1), (19, 1), (20, 2), (30, 3), (59, 5)])
def test_a_tenth_is_stopped_and_at_least_one(size: int, stopped: int) -> None:
    """All agents fail; so many breakers open, the others' owners are asked."""
    fleet = Fleet(size)
    fail_all(fleet)

    assert len(fleet.opened) == stopped
    held = [s.signal for s in summaries(fleet.out) if s.signal.action == "step-up"]
    assert len({signal.agent_id for signal in held}) == size - stopped
    assert {signal.cmd_id for signal in held} <= {""}


def test_without_correlate_nobody_brakes() -> None:
    """Control: the rules alone would stop everybody."""
    fleet = Fleet(30, correlating=False)
    fail_all(fleet)

    assert len(fleet.opened) == 30


def test_people_are_told_what_they_can_do() -> None:
    """The owner of each agent gets the command that would stop it, the tenant's people one incident."""
    fleet = Fleet(20)
    fail_all(fleet)
    held = next(s for s in signals(fleet.out) if s.action == "step-up")
    (whole,) = [one for one in fleet.incidents if one.detector == "brake"]
    of_agents = [one for one in fleet.incidents if one.action == "step-up" and one.cmd_id == ""]

    assert f"`tracefuse breaker force agent:{TENANT}/{held.agent_id} " in held.sentence
    assert (held.detector, held.evidence["calls"]) == ("error_rate", 20)
    assert held.scope == f"agent:{TENANT}/{held.agent_id}"
    assert (whole.tenant, whole.agent_id, whole.severity) == (TENANT, "", "high")
    assert "stopped 2 of 20 active agents of acme" in whole.sentence
    assert {f"agent:{TENANT}/{one}" for one in whole.agents} == {
        scope for _, scope, _ in fleet.opened
    }
    assert len(of_agents) == 18 + 1
    assert len({one.incident_id for one in fleet.incidents}) == len(fleet.incidents)


def test_one_stop_alone_needs_nobody_else() -> None:
    """A brake that has held nothing back is no incident: a small tenant would hear of each stop twice."""
    fleet = Fleet(3)
    fleet.fail("agent-0")

    assert [one.detector for one in fleet.incidents if one.cmd_id] == ["error_rate"]
    assert [one for one in fleet.incidents if one.detector == "brake"] == []


def test_a_stop_that_does_not_come_is_told_once_in_its_time() -> None:
    """Each further failure would ask again; the owner hears of it twice a minute at most."""
    fleet = Fleet(2)
    fleet.fail("agent-0")
    for _ in range(3):
        fleet.fail("agent-1")
    once = [s for s in signals(fleet.out) if s.action == "step-up"]
    fleet.wait(WAIT)
    fleet.fail("agent-1")
    twice = [s for s in signals(fleet.out) if s.action == "step-up"]

    assert (len(once), len(twice)) == (1, 2)
    assert len([one for one in fleet.incidents if one.detector == "brake"]) == 1


def test_the_window_slides() -> None:
    """Five minutes after the first stop there is room for one more, and not a second earlier."""
    fleet = Fleet(2)
    fleet.fail("agent-0")
    began = fleet.now
    fleet.wait(WINDOW - 1.0)
    fleet.fail("agent-1")
    early = len(fleet.opened)
    fleet.wait(began + WINDOW - fleet.now)
    fleet.fail("agent-1")

    assert early == 1
    assert [scope for _, scope, _ in fleet.opened if scope.endswith("agent-1")] != []


def test_more_agents_at_work_make_room() -> None:
    """The brake ends as soon as the stops are less than a tenth."""
    fleet = Fleet(10)
    fleet.fail("agent-0")
    on = braked(fleet.wide)
    for n in range(10):
        fleet.work(f"more-{n}")
    fleet.wait(2.0)
    fleet.fail("agent-1")

    assert len(on) == 1 and braked(fleet.wide)[1] == 0.0
    assert len(fleet.opened) == 2


def test_limits_ignore_the_brake() -> None:
    """A loop stops its run, a cap its agent, failures in a row their tool, however many were stopped."""
    fleet = Fleet(3)
    fleet.fail("agent-0")
    fleet.tell(registered("agent-1", limits={"write": {"per_minute": 5}}))
    capped = commands(fleet.fail("agent-1", status="ok"))
    row = commands(fleet.fail("agent-2", tool="one"))
    looped = commands(
        fleet.fail("agent-2", tool="two", args_hash="a", result_hash="r", status="ok")
    )

    assert [command.reason.rule for command in capped] == ["call_rate"]
    assert [command.scope for command in row] == [f"tool:{TENANT}/agent-2/one"]
    assert [command.reason.rule for command in looped] == ["exact_loop"]


def test_what_is_critical_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A soft rule of the highest severity stops whoever it finds, and uses up nobody's share."""
    entry = replace(CATALOGUE["error_rate"], severity="critical")
    monkeypatch.setitem(CATALOGUE, "error_rate", entry)
    fleet = Fleet(5)
    fail_all(fleet)

    assert len(fleet.opened) == 5
    assert braked(fleet.wide) == []


def test_tenants_do_not_brake_each_other() -> None:
    """Each has its own tenth."""
    fleet = Fleet(3)
    for n in range(3):
        fleet.work(f"agent-{n}", "other")
    fail_all(fleet)
    for name in fleet.names:
        fleet.fail(name, "other")

    assert sorted(scope.split("/")[0] for _, scope, _ in fleet.opened) == [
        "agent:acme",
        "agent:other",
    ]


def test_a_failed_trial_is_stopped_again_and_counts_again() -> None:
    """It was stopped before, so no brake holds it; but who keeps failing keeps its place in the share."""
    fleet = Fleet(2)
    fleet.fail("agent-0")
    fleet.wait(2 * WAIT)
    fleet.fail("agent-0")
    again = fleet.now
    fleet.wait(WINDOW - 2 * WAIT)
    fleet.fail("agent-1")
    held = len(fleet.opened)

    assert [rule for _, _, rule in fleet.opened][:2] == ["error_rate", "breaker.open"]
    assert braked(fleet.wide)[-1] == round(again + WINDOW, 3)
    assert held == 2


def test_who_is_stopped_again_is_the_latest() -> None:
    """Its earlier stop leaves nothing behind: the next place is free when the other's time is over."""
    state = TenantState(TENANT, active={0: 20})
    for agent_id, at in (("a", 100.0), ("b", 200.0), ("a", 300.0)):
        state.opened(agent_id, at)
        state.judged(at)

    assert list(state.openings) == ["b", "a"]
    assert state.until == 200.0 + WINDOW


@pytest.mark.parametrize(("state", "held"), [(State.CLOSED, True), (State.HALF_OPEN, False)])
def test_what_is_on_trial_is_not_held_back(state: State, held: bool) -> None:
    """A rule that fires during the trial stops the agent, brake or not."""
    saying = Saying(0)
    saying.begin(0, 100.0)
    withholding, agent = Withholding(saying), new_agent("acme/refunds")
    withholding.brakes.take(Braked(tenant=TENANT, until=400.0), 100.0)
    evidence = {"threshold": 0.5}
    finding = Finding("error_rate", "Errors.", evidence, "agent", Tripped(auto_close=True))
    run = Run(
        tenant=TENANT, agent_id="refunds", trace_id="t", phase="end", event_id="e", emitted_at=1
    )
    said = {
        "detector": "error_rate", "evidence_class": "rule", "severity": "medium",
    }  # fmt: skip
    breaker = replace(agent.breaker, state=state)

    assert withholding.takes(agent, run, breaker, finding, said) == held
    assert len(summaries(saying.collected())) == held


def test_a_failed_trial_after_a_limit_counts_for_nothing() -> None:
    """What a limit stopped never was a matter of the brake."""
    fleet = Fleet(2)
    fleet.tell(registered("agent-0", limits={"write": {"per_minute": 5}}))
    fleet.fail("agent-0", status="ok")
    fleet.wait(2 * WAIT)
    fleet.fail("agent-0")

    assert [rule for _, _, rule in fleet.opened] == ["call_rate", "breaker.open"]
    assert braked(fleet.wide) == []


def test_a_rule_that_only_measures_only_measures() -> None:
    """What its file keeps from stopping is not held back by a brake, and nobody is called."""
    fleet = Fleet(2)
    fleet.tell(registered("agent-1", metrics_only=["error_rate"]))
    fleet.fail("agent-0")
    fleet.fail("agent-1")

    found = [s for s in signals(fleet.out) if s.agent_id == "agent-1" and s.scope]
    assert [s.status for s in found] == ["metrics_only"]
    assert "agent-1" not in [one.agent_id for one in fleet.incidents if one.scope]


def test_repeats_change_nothing() -> None:
    """What owners tell again counts once; what they hear again neither ends nor lengthens a brake."""
    fleet = Fleet(30)
    for name in fleet.names[:2]:
        fleet.fail(name)
    said = [out.value for out in fleet.out if isinstance(out, Line) and out.topic == FLEET]
    repeated = [out for line in said for out in fleet.tell_correlate(line)]
    fleet.fail(fleet.names[2])
    lines = [out for out in fleet.wide if isinstance(out, Placed)]
    for line in lines:
        fleet.inbox(line.partition, line.value)
    fail_all(fleet)

    assert repeated == []
    assert len(fleet.opened) == 3


def restored(fleet: Fleet) -> None:
    """Every core dies and comes back from its checkpoint."""
    cores: list[tuple[Detect | Correlate, Detect | Correlate]] = [
        *((core, Detect(number, VERIFIER)) for number, core in fleet.detects.items()),
        (fleet.correlate, Correlate(0, VERIFIER)),
    ]
    for old, new in cores:
        snapshot = old.freeze()
        while old.partition.encode_some(snapshot):
            pass
        cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
        new.restore(snapshot.marker, cells)
        if isinstance(new, Detect):
            fleet.detects[new.number] = new
        else:
            fleet.correlate = new


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_it_goes_on_where_it_was(stopped: int) -> None:
    """Restored cores brake at the same stop, for as long, and know who is at work."""
    fleet, control = Fleet(30), Fleet(30)
    for each in (fleet, control):
        for name in each.names[:stopped]:
            each.fail(name)
        if each is fleet:
            restored(fleet)
        fail_all(each)
        each.wait(WINDOW)
        fail_all(each)

    assert [scope for _, scope, _ in fleet.opened] == [scope for _, scope, _ in control.opened]
    assert braked(fleet.wide) == braked(control.wide)


def test_every_decision_is_computed_again() -> None:
    """Fresh cores on the same logs say the same bytes: owners of agents, and correlate."""
    fleet = Fleet(30, delay=0.3)
    for name in fleet.names:
        fleet.fail(name)
        fleet.wait(0.5)
    again: list[Output] = []
    for number in range(8):
        detect = Detect(number, VERIFIER)
        again += [out for record in fleet.logs[INBOX, number] for out in detect.apply(*record)]
    correlate = Correlate(0, VERIFIER)
    wide = [out for record in fleet.logs[FLEET, 0] for out in correlate.apply(*record)]

    assert len(fleet.opened) == 3
    assert sorted(map(repr, again)) == sorted(map(repr, fleet.out))
    assert wide == fleet.wide


def test_a_brake_ends_without_correlate() -> None:
    """It says how long it lasts: should correlate die, nobody stays braked."""
    brakes = Brakes()
    brakes.take(Braked(tenant=TENANT, until=400.0), 100.0)

    assert brakes.holds(TENANT, 399.9)
    assert not brakes.holds(TENANT, 400.0)
    assert not brakes.holds("other", 100.0)


def test_what_is_remembered_is_bounded() -> None:
    """Stops of one tenant, brakes at an owner, tenants at correlate; a stop too many is braked, not lost."""
    state, brakes = TenantState(TENANT), Brakes()
    state.count(0, 1_000_000)
    for n in range(OPENINGS_MAX + 10):
        state.opened(f"agent-{n}", 1.0)
        state.judged(1.0)
    for n in range(BRAKED_MAX + 10):
        brakes.take(Braked(tenant=f"t{n}", until=400.0), 100.0)

    assert (len(state.openings), state.allowed, state.until) == (OPENINGS_MAX, OPENINGS_MAX, 301.0)
    assert len(brakes.until) == BRAKED_MAX


def test_tenants_that_are_gone_are_forgotten() -> None:
    """A tenant of which nothing is known takes no room; one too many is not counted."""
    fleet = Fleet(1)
    fleet.wait(700.0)

    assert len(fleet.correlate.partition) == 0

    lines = [
        codec.encode({"type": "census", "src": (INBOX, 0, 10**9, n, 0), "active": {f"t{n}": 1}})
        for n in range(TENANTS_MAX + 5)
    ]
    for at in range(0, len(lines), 50):
        fleet.tell_correlate(codec.envelope(lines[at : at + 50]))

    assert len(fleet.correlate.partition) == TENANTS_MAX


def test_an_unreadable_line_is_set_aside() -> None:
    """A dead letter, and the next stop counts."""
    fleet = Fleet(1)
    (dead,) = fleet.tell_correlate(b'{"type":"census","active":[]}')

    assert isinstance(dead, Line) and dead.kind == codec.DEAD
    fleet.fail("agent-0")
    assert len(braked(fleet.wide)) == 1


def test_all_owners_hear_of_it_in_their_own_partition() -> None:
    """The line stands in the inbox of each, with the fleet's record as its source."""
    fleet = Fleet(1)
    fleet.fail("agent-0")
    lines = [out for out in fleet.wide if isinstance(out, Placed)]
    facts = [codec.fact(line.value) for line in lines]

    assert [line.partition for line in lines] == list(range(8))
    assert {fact.src[0] for fact in facts if isinstance(fact, Braked)} == {FLEET}
    assert all(line.kind == codec.INBOX for line in lines)
    assert wire.PARTITIONS == 8
