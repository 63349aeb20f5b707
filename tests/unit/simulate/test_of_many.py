"""The scenarios of several agents are true: they are one incident, and the twin is no part of it."""

from random import Random

from ingest.records import Incident
from ingest.simulate.process import Work
from ingest.simulate.roles import Role, agent_file
from ingest.simulate.roles import fleet as roles_of
from ingest.simulate.scenarios import SCENARIOS
from stream.correlate.sharing import HOLD_SECONDS
from stream.detect.registering import sealed
from tests.fleet import Fleet
from tests.pipe import REGISTRY, TENANT
from tests.unit.simulate.test_habits import told

RUNS = 4
BESIDE = 12  # agents that play in the same group


def play(name: str) -> tuple[Fleet, list[Role], list[Incident]]:
    """A scenario's agents in turn, run by run; what was said of them all. Nothing is before the fault."""
    roles, fleet = roles_of([name], healthy=0), Fleet(BESIDE)
    fleet.tell(*(sealed(agent_file(role, TENANT), REGISTRY) for role in roles))
    jobs = [Work(role, Random(7 + number)) for number, role in enumerate(roles)]
    warm, whole = SCENARIOS[name].warm, list[Incident]()
    for run in range(warm + RUNS):
        for number, (role, job) in enumerate(zip(roles, jobs, strict=True)):
            script = job.next(SCENARIOS[name].fault_at_s, 1e6)
            fleet.send(*told(role, script, run * len(roles) + number))
        fleet.wait(HOLD_SECONDS)
        whole = [one for one in fleet.incidents if one.detector == SCENARIOS[name].detector]
        assert not whole or run >= warm
    return fleet, roles, whole


def test_the_agents_of_a_broken_tool_are_one_incident() -> None:
    """Three agents and no twin among its children; nothing is shared before the fault."""
    fleet, roles, whole = play("shared_tool_down")
    faulty = {role.agent for role in roles if role.faulty}

    assert len(faulty) == 3 and len(roles) == 4
    (cause,) = whole
    tool = agent_file(roles[0], TENANT).tools
    assert cause.node.removeprefix("tool:") in tool
    parts = {one.agent_id for one in fleet.incidents if one.parent == cause.incident_id}
    assert parts == faulty


def test_agents_in_each_others_way_are_one_incident() -> None:
    """Both are named and the twin is not, which meets others as often, each time at another order."""
    _, roles, whole = play("same_order")
    faulty = {role.agent for role in roles if role.faulty}
    (twin,) = (role.agent for role in roles if not role.faulty)

    assert len(faulty) == 2
    (incident,) = whole
    assert all(agent in incident.sentence for agent in faulty)
    assert twin not in incident.sentence
