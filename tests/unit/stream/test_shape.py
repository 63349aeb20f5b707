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
