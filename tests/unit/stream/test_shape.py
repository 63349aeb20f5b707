"""The shape of steps, by action: a model's call is held against models' calls."""

import random

from ingest.records import Step
from stream.agent.agent_state import new_agent
from stream.finding.findings import on_complete
from tests.pipe import AGENT, START, TENANT, TRACE


def test_ten_times_the_tokens_stand_out_beside_calls_of_tools() -> None:
    """Tools have no tokens; that must not make every amount of tokens look usual."""
    rng, agent = random.Random(7), new_agent(f"{TENANT}/{AGENT}")
    found = [0, 0]
    for i in range(3_000):
        odd = i >= 2_900
        tokens = int(1_000 * rng.lognormvariate(0.0, 0.4)) * (10 if odd else 1)
        llm = {"action": "llm", "model": "m", "input_tokens": tokens, "cost_usd": tokens * 3e-6}
        for said in (llm, {"action": "tool", "tool": "crm.find"}):
            step = Step(
                step_id="s", phase="complete", tenant=TENANT, agent_id=AGENT, trace_id=TRACE, span_id="x",
                status="ok", at=START, duration_us=int(3e5 * rng.lognormvariate(0.0, 0.3)), **said,
            )  # fmt: skip
            found[odd] += sum(one.detector == "step_vector" for one in on_complete(agent, step))

    assert found[0] <= 6
    assert found[1] >= 1


def test_an_odd_step_hides_no_odder_one_behind_it() -> None:
    """A slow call is said; a prompt of a thousand times the tokens soon after it is, too."""
    rng, agent = random.Random(7), new_agent(f"{TENANT}/{AGENT}")
    found: list[int] = []
    for i in range(1_540):
        slow, huge = i == 1_500, i == 1_530
        tokens = int(1_000 * rng.lognormvariate(0.0, 0.4)) * (1_000 if huge else 1)
        step = Step(
            step_id="s", phase="complete", tenant=TENANT, agent_id=AGENT, trace_id=TRACE, span_id="x",
            status="ok", at=START, action="llm", model="m", input_tokens=tokens, cost_usd=tokens * 3e-6,
            duration_us=int(3e5 * rng.lognormvariate(0.0, 0.3)) * (9 if slow else 1),
        )  # fmt: skip
        found += [i for one in on_complete(agent, step) if one.detector == "step_vector"]

    assert {1_500, 1_530} <= set(found)
