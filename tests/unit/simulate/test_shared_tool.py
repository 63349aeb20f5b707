"""The scenario of a shared tool is true: three agents are one incident, and the twin is no part of it."""

from random import Random

from ingest.simulate.process import Work
from ingest.simulate.roles import agent_file
from ingest.simulate.roles import fleet as roles_of
from ingest.simulate.scenarios import SCENARIOS
from stream.registering import sealed
from stream.sharing import HOLD_SECONDS
from tests.fleet import Fleet
from tests.pipe import REGISTRY, TENANT
from tests.unit.simulate.test_habits import told

NAME = "shared_tool_down"
RUNS = 4
BESIDE = 12  # agents that play in the same group


def test_the_agents_of_a_broken_tool_are_one_incident() -> None:
    """Three agents and no twin among its children; nothing is shared before the fault."""
    roles, fleet = roles_of([NAME], healthy=0), Fleet(BESIDE)
    fleet.tell(*(sealed(agent_file(role, TENANT), REGISTRY) for role in roles))
    jobs = [Work(role, Random(7)) for role in roles]
    warm, whole = SCENARIOS[NAME].warm, []
    for run in range(warm + RUNS):
        for number, (role, job) in enumerate(zip(roles, jobs, strict=True)):
            script = job.next(SCENARIOS[NAME].fault_at_s, 1e6)
            fleet.send(*told(role, script, run * len(roles) + number))
        fleet.wait(HOLD_SECONDS)
        whole = [one for one in fleet.incidents if one.detector == "shared_cause"]
        assert not whole or run >= warm
    faulty = {role.agent for role in roles if role.faulty}

    assert len(faulty) == 3 and len(roles) == 4
    (cause,) = whole
    tool = agent_file(roles[0], TENANT).tools
    assert cause.node.removeprefix("tool:") in tool
    parts = {one.agent_id for one in fleet.incidents if one.parent == cause.incident_id}
    assert parts == faulty
