"""Failed calls that others may have stood in the way of: correlate is told of each. Pure.

    SDK: class of the error ──► join: on the step ──► detect: one line to correlate ──► `contention`

Only failed calls cost anything, and only those that tell what they were about.
"""

from ingest import codec
from ingest.records import Hindered, Step
from ingest.topics import FLEET
from stream.agent.agent_state import AgentState
from stream.agent.saying import Saying
from stream.outputs import Line

NAME = "contention"
ROUTES_MAX = 4  # of one agent's owner


def failed(agent: AgentState, step: Step, saying: Saying) -> None:
    """A call has failed so: correlate hears of it, for only there other agents are known."""
    about = step.manner.about if step.manner is not None else []
    if (
        not step.hindered
        or not about
        or step.spooled
        or step.probe
        or NAME in agent.file.metrics_only
    ):
        return
    owner = agent.file.owner
    fact = Hindered(
        src=saying.take(), tenant=agent.tenant, agent_id=agent.agent_id, tool=step.tool,
        kind=step.hindered, about=about, trace_id=step.trace_id, event_id=step.result_id,
        owner=owner.name, routes=list(owner.routes[:ROUTES_MAX]),
    )  # fmt: skip
    saying.put(Line(FLEET, "", codec.SUMMARIES, codec.encode(fact)))
