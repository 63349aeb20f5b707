"""Shared causes: many agents that alarm on one node are one incident, and others stay apart."""

import struct
from typing import Any

import msgspec
import pytest

from ingest.records import Incident, Signal
from ingest.topics import FLEET
from stream.alerts.desk import Desk
from stream.alerts.notice import of_one
from stream.correlate import shared_cause
from stream.correlate.correlate import Correlate
from stream.correlate.shared_cause import (
    AGENTS_MAX,
    AGENTS_MIN,
    DAY,
    OPEN_SECONDS,
    WINDOW,
    NodeState,
    counts,
    nodes,
    poisson_tail,
)
from stream.correlate.sharing import HELD_MAX, HOLD_SECONDS
from stream.outputs import Output
from stream.partition import Marker
from stream.stopping.brake import PREFIX as BRAKE
from stream.stopping.brake import TenantState
from tests.fleet import Fleet
from tests.pipe import START, TENANT, VERIFIER

SEARCH = "crm.search"


def broken(fleet: Fleet, name: str, tool: str = SEARCH) -> None:
    """Five calls of one tool fail in a row, so its breaker opens in this agent's hands."""
    told = fleet._of(name, TENANT)
    fleet.send(*(event for n in range(5) for event in told.call(n, tool=tool, status="error")))


def alerts(incidents: list[Incident]) -> list[Incident]:
    """What people hear, as the desk of alerts decides."""
    desk, told = Desk(alertmanager=False), list[Incident]()
    for number, incident in enumerate(incidents):
        routed = msgspec.structs.replace(incident, routes=["json://127.0.0.1:9/hook"])
        desk.take((0, number), routed, False, number * 100.0)
        for route, message in desk.messages(number * 100.0):
            told += message.incidents
            desk.delivered(route, number * 100.0)
    return told


def of_tools(incidents: list[Incident]) -> list[Incident]:
    return [one for one in incidents if one.scope.startswith("tool:")]


def signal(**more: Any) -> Signal:
    said: dict[str, Any] = {
        "signal_id": "s", "tenant": TENANT, "agent_id": "a", "detector": "error_rate", "at": 0.0,
        "evidence_class": "rule", "severity": "medium", "action": "open", "sentence": "",
    }  # fmt: skip
    return Signal(**(said | more))


def test_one_broken_tool_is_one_alert() -> None:
    """Thirty agents' breakers open over one tool: people hear of the tool, once, and then of its end."""
    fleet = Fleet(30)
    for name in fleet.names:
        broken(fleet, name)
    fleet.wait(HOLD_SECONDS + 1)
    (heard,) = [one for one in alerts(fleet.incidents) if one.detector != "registry"]
    children = of_tools(fleet.incidents)[0:]
    fleet.wait(OPEN_SECONDS + 1)

    assert (heard.node, heard.agent_id, heard.severity) == (f"tool:{SEARCH}", "", "high")
    assert heard.sentence.startswith("3 agents alarm on the tool `crm.search`")
    assert f"shared_tool:{TENANT}/{SEARCH}" in heard.sentence
    muted = {one.agent_id for one in children if one.parent == heard.incident_id and one.muted}
    assert muted == set(fleet.names)
    assert set(heard.children) <= {one.incident_id for one in children}
    assert heard.children[0] in of_one(heard).body
    over = [one for one in fleet.incidents if one.status == "resolved"]
    assert [(one.incident_id, one.node) for one in over] == [(heard.incident_id, heard.node)]
    assert "30 alarms belonged to it" in over[0].sentence
    assert set(heard.agents) == {
        one.agent_id for one in children if one.incident_id in heard.children
    }
    assert f"agents {', '.join(heard.agents)}, owner" in of_one(heard).body
    assert set(over[0].agents) == set(fleet.names)
    assert {tuple(one.agents) for one in children} == {(one.agent_id,) for one in children}


def test_without_it_each_agent_is_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: with no node ever shared, thirty people's phones ring."""
    monkeypatch.setattr(NodeState, "shared", lambda *_: False)
    fleet = Fleet(30)
    for name in fleet.names:
        broken(fleet, name)
    fleet.wait(HOLD_SECONDS + 1)

    assert len([one for one in alerts(fleet.incidents) if one.detector == "error_rate"]) == 30


def test_independent_alarms_stay_separate() -> None:
    """As many agents, each with a broken tool of its own and minutes apart, are as many alerts."""
    fleet = Fleet(10)
    for number, name in enumerate(fleet.names):
        broken(fleet, name, tool=f"tool-{number}")
        fleet.wait(WINDOW + 1)
    told = alerts(of_tools(fleet.incidents))

    assert {one.agent_id for one in told} == set(fleet.names)
    assert [one for one in fleet.incidents if one.node or one.parent] == []


def test_two_pairs_on_two_tools_are_four_alerts() -> None:
    """At the same moment even: too few on each tool, and too small a part of the tenant's agents."""
    fleet = Fleet(30)
    for number, name in enumerate(fleet.names[:4]):
        broken(fleet, name, tool=f"tool-{number % 2}")
    fleet.wait(HOLD_SECONDS + 1)

    assert len(alerts(of_tools(fleet.incidents))) == 4
    assert [one for one in fleet.incidents if one.node] == []


def test_a_fifth_of_a_tenant_under_one_rule_is_one_incident() -> None:
    """Many agents with broken tools of their own at once: the tenant is what they share."""
    fleet = Fleet(10)
    for number, name in enumerate(fleet.names):
        broken(fleet, name, tool=f"tool-{number}")
    (whole,) = [one for one in fleet.incidents if one.node]

    assert whole.node == "tenant:error_rate"
    assert whole.sentence.startswith("3 agents alarm on the tenant acme by `error_rate`")


def test_two_agents_are_two_alerts_a_moment_later() -> None:
    """Too few for one cause: each is told as it is once it has waited for others, and no earlier."""
    fleet = Fleet(30)
    for name in fleet.names[: AGENTS_MIN - 1]:
        broken(fleet, name)
    fleet.wait(HOLD_SECONDS - 0.5)
    early = of_tools(fleet.incidents)
    fleet.wait(1.0)
    told = of_tools(fleet.incidents)

    assert early == []
    assert [(one.agent_id, one.parent, one.muted) for one in told] == [
        ("agent-0", "", False), ("agent-1", "", False),
    ]  # fmt: skip
    assert len({one.src for one in told}) == 2


def test_a_latecomer_joins_while_it_is_open() -> None:
    """Minutes later its alarm is a child; once the incident is over it is an alert of its own."""
    fleet = Fleet(30)
    for name in fleet.names[:3]:
        broken(fleet, name)
    fleet.wait(OPEN_SECONDS - 10)
    broken(fleet, "agent-7")
    fleet.wait(HOLD_SECONDS)
    (late,) = [one for one in of_tools(fleet.incidents) if one.agent_id == "agent-7"]
    fleet.wait(OPEN_SECONDS + 1)
    broken(fleet, "agent-8")
    fleet.wait(HOLD_SECONDS + 1)
    (after,) = [one for one in of_tools(fleet.incidents) if one.agent_id == "agent-8"]
    (whole,) = [one for one in fleet.incidents if one.node and one.status == "open"]

    assert (late.parent, late.muted) == (whole.incident_id, True)
    assert (after.parent, after.muted) == ("", False)


def alarm(core: Correlate, agent_id: str, at: float, **more: Any) -> list[Incident]:
    """One alarm on a tool at a correlate of its own, without the way there."""
    said = signal(agent_id=agent_id, scope=f"tool:{TENANT}/{agent_id}/{SEARCH}", tool=SEARCH)
    core.partition.begin(core.partition.offset + 1, at)
    incident = Incident(
        incident_id=f"inc-{core.partition.offset}", tenant=TENANT, agent_id=agent_id,
        severity="medium", title="t", sentence="Errors.", detector="error_rate", action="open",
        signal_id="s", opened_at=at, scope=said.scope, **more,
    )  # fmt: skip
    now, after = core._sharing.alarm(said, incident)
    return [*now, *after]


def test_an_owner_who_has_not_heard_is_told() -> None:
    """A child whose route the node's alert did not reach is told once, and says what it belongs to."""
    core = Correlate(0, VERIFIER)
    for agent_id in "abc":
        found = alarm(core, agent_id, 1.0, routes=["hook:a"])
    (whole,) = [one for one in found if one.node]
    before = list(whole.routes)
    (first,), (second,) = (alarm(core, name, 2.0, routes=["hook:b"]) for name in "de")

    assert before == ["hook:a"]
    assert (first.muted, first.parent) == (False, whole.incident_id)
    assert whole.incident_id in first.sentence
    assert (second.muted, second.parent) == (True, whole.incident_id)


def test_chance_grows_with_the_fleet() -> None:
    """Three agents in five minutes are rare among thirty and not among five hundred."""
    state = NodeState()
    for agent_id in "abc":
        state.take(agent_id, "inc", DAY)

    assert state.shared("tool:t", 30, DAY)
    assert not state.shared("tool:t", 500, DAY)
    assert state.expected(500, DAY) == pytest.approx(500 * WINDOW / DAY)


def test_a_node_that_always_alarms_is_no_news() -> None:
    """What three agents do every ten minutes for days is learned; the same on a quiet node is not."""
    busy, quiet, now = NodeState(), NodeState(), DAY
    while now < 4 * DAY:
        for agent_id in "abc":
            busy.take(agent_id, "inc", now)
        now += 600.0
    for agent_id in "abc":
        quiet.take(agent_id, "inc", now)
        busy.take(agent_id, "inc", now)

    assert not busy.shared("tool:t", 30, now)
    assert quiet.shared("tool:t", 30, now)


def test_the_tail_is_poissons() -> None:
    """Against sums by hand; never below nothing."""
    assert poisson_tail(1, 0.5) == pytest.approx(0.39346934)
    assert poisson_tail(2, 2.0) == pytest.approx(0.59399415)
    assert poisson_tail(64, 0.01) == 0.0


def test_what_may_be_one_of_many() -> None:
    """Critical alarms, those that ask a person and those of no detector are always told by themselves."""
    assert counts(signal())
    assert not counts(signal(severity="critical"))
    assert not counts(signal(action="step-up"))
    assert not counts(signal(detector="policy"))
    assert not counts(signal(status="metrics_only"))


def test_nodes_of_an_alarm() -> None:
    """A run's loop is no word on its tool; the brake counts agents' soft stops for the tenant."""
    loop = signal(detector="exact_loop", scope="run:acme/a/t", tool="t", severity="high")

    assert nodes(loop) == ["tenant:exact_loop"]
    assert nodes(signal(scope="agent:acme/a", model="m", bundle="b")) == ["model:m", "bundle:b"]
    assert "bundle:b2" in nodes(signal(detector="canary_rate", scope="bundle:acme/a/b2"))


def again(fleet: Fleet) -> None:
    """Correlate dies and comes back from its checkpoint."""
    snapshot = fleet.correlate.freeze()
    while fleet.correlate.partition.encode_some(snapshot):
        pass
    cells = {key: cell for key, cell in snapshot.cells.items() if cell is not None}
    fleet.correlate = Correlate(0, VERIFIER)
    fleet.correlate.restore(snapshot.marker, cells)


def replayed(fleet: Fleet) -> list[Output]:
    """What a correlate says that lived through all of it."""
    core = Correlate(0, VERIFIER)
    return [one for record in fleet.logs[FLEET, 0] for one in core.apply(*record)]


@pytest.mark.parametrize("before", [2, 3, 5])
def test_a_restart_changes_nothing(before: int) -> None:
    """With alarms that wait, at the moment it opened, and while it is open: the same follows."""
    fleet = Fleet(30)
    for number, name in enumerate(fleet.names[:8]):
        if number == before:
            again(fleet)
        broken(fleet, name)
    fleet.wait(OPEN_SECONDS + HOLD_SECONDS)

    assert fleet.wide == replayed(fleet)
    assert [one.status for one in fleet.incidents if one.node] == ["open", "resolved"]


def test_a_brake_of_an_earlier_build_is_read() -> None:
    """Its cell has no tag; the tenant's agents and stops are known again."""
    state = TenantState(TENANT, active={0: 30}, openings={"a": START})
    tagged = msgspec.msgpack.decode(msgspec.msgpack.encode(state))
    core = Correlate(0, VERIFIER)
    key = BRAKE + TENANT
    cell = struct.pack(">Qd", 1, START + 60) + msgspec.msgpack.encode(tagged[1:])
    core.restore(Marker(5, START, 1, {}, b""), {key: cell})

    assert tagged[0] == "brake"
    assert core.partition.get(key) == state


def test_replay_says_the_same() -> None:
    """A fresh correlate on the same log says the same bytes, under marks that never repeat."""
    fleet = Fleet(12)
    for name in fleet.names:
        broken(fleet, name)
    fleet.wait(OPEN_SECONDS + 1)
    marks = [one.src for one in fleet.incidents]

    assert replayed(fleet) == fleet.wide
    assert marks == sorted(set(marks))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents of a node, incidents that wait, nodes; a node of which nothing is heard for a day goes."""
    state = NodeState()
    for n in range(AGENTS_MAX + 5):
        state.take(f"a{n}", "inc", 1.0)
    core = Correlate(0, VERIFIER)
    monkeypatch.setattr(NodeState, "shared", lambda *_: False)
    told = [one for n in range(HELD_MAX + 1) for one in alarm(core, f"a{n}", 1.0)]
    monkeypatch.setattr(core._sharing.nodes, "most", 0)

    assert len(state.window) == AGENTS_MAX
    assert [one.agent_id for one in told] == [f"a{HELD_MAX}"]
    for at in (2.0 + HOLD_SECONDS, 2.0 + WINDOW, 2.0 + DAY, 3.0 + 2 * DAY):
        core.apply(core.partition.offset + 1, at, [], b"")
    assert len(core.partition) == 0
    assert core._sharing.nodes.taken == 0
    assert shared_cause.NODES_MAX > 0
    assert [one.agent_id for one in alarm(core, "b", 4 * DAY)] == ["b"]
