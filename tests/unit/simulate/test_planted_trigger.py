"""The scenario `planted_trigger`, through the SDK's evidence: values of orders are only seen there."""

from random import Random

import pytest

from ingest.simulate.habits_of_data import PLANTED
from ingest.simulate.process import Work
from ingest.simulate.roles import Role, agent_file, fleet
from ingest.simulate.scenarios import SCENARIOS
from ingest.simulate.script import Act, Script
from stream.detect.registering import sealed
from tests.pipe import REGISTRY, TENANT, Pipe, signals, trace_id
from tracefuse.drafts import Draft, Run
from tracefuse.events import Event
from tracefuse.evidence import Identity, Witness

NAME = "planted_trigger"
ROLES = [role for role in fleet([NAME], healthy=0) if role.scenario == NAME]
FAULTY_RUNS = 12


class Sdk:
    """What the SDK tells of runs, without a thread."""

    def __init__(self, role: Role) -> None:
        who = Identity(
            tenant=TENANT, agent_id=role.agent, environment="dev", bundle="", boot_id="b"
        )
        self._witness, self._seq = Witness(who, b"k" * 32), 0

    def events(self, script: Script, number: int) -> list[Event]:
        run = Run(trace_id(number))
        made = [self._event(run, "run.start"), self._event(run, "input.user", body=script.message)]
        for n, move in enumerate(script.moves):
            if isinstance(move, Act):
                call = {"tool": move.tool, "call_id": f"{number}-{n}"}
                made.append(self._event(run, "tool.request", body=move.args, **call))
                made.append(self._event(run, "tool.result", body=move.result, **call))
        return [*made, self._event(run, "run.end", extra={"status": "ok"})]

    def _event(self, run: Run, name: str, **more: object) -> Event:
        self._seq += 1
        at = 1_795_000_000_000_000 + self._seq
        draft = Draft(name, run, f"{self._seq:016x}", at, **more)  # type: ignore[arg-type]
        return self._witness.event(draft, self._seq)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.agent)
def test_the_trigger_is_found_and_its_twin_is_not(role: Role) -> None:
    """Nothing is said of the history nor of the twin; the write is named within a dozen orders."""
    pipe, job, sdk = Pipe(), Work(role, Random(7)), Sdk(role)
    pipe.tell(sealed(agent_file(role, TENANT), REGISTRY))
    scenario, said = SCENARIOS[NAME], [list[str](), list[str]()]
    for number in range(1, scenario.warm + FAULTY_RUNS + 1):
        script = job.next(scenario.fault_at_s, 1e6)
        out = pipe.send(*sdk.events(script, number))
        pipe.now += 0.5
        found = [one.tool for one in signals(out) if one.detector == scenario.detector]
        said[PLANTED in script.message] += found

    assert said[False] == []
    assert set(said[True]) == ({"deploy.restart"} if role.faulty else set())
