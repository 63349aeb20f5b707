"""Newcomers and their siblings, at the owner of an agent: what it tells of its tools, what it inherits. Pure.

calls of a tool ──► told seldom ──► correlate ──► answer in the agent's own inbox ──► cold detectors

Nothing is shared inside a worker process: siblings live in other partitions, so the prior is a record.
"""

from detectors.shrinkage import Normal, Share
from ingest import codec
from ingest.records import Learned, Moments, Prior, Step
from ingest.topics import FLEET
from stream.agent.agent_state import AgentState, ToolState
from stream.agent.saying import Saying
from stream.outputs import Line

# After its first call an agent asks; what comes later sharpens the answer, and tells what it has learned.
_FIRST = (1, 10, 30, 90)
# Then as often as its calls double, and at least every so many: nobody speaks for ever of what it once was.
_TELL_MAX = 4096
_MEASURED_MIN = 30  # calls before their mean and variance mean something


def called(agent: AgentState, step: Step, saying: Saying) -> None:
    """A call of a tool of its file has ended: tell of the tool, if it is time."""
    tool = agent.tools.get(step.tool)
    if tool is None or tool.baseline.n < tool.tells or step.tool not in agent.file.tools:
        return
    tool.tells = _next(tool.baseline.n)
    calls, failures = tool.baseline.own
    told = Learned(
        src=saying.take(), tenant=agent.tenant, agent_id=agent.agent_id,
        peers=agent.file.owner.name, tool=step.tool, asks=_cold(tool), calls=calls,
        failures=failures, seconds=_seconds(tool),
    )  # fmt: skip
    saying.put(Line(FLEET, "", codec.SUMMARIES, codec.encode(told)))


def take(agent: AgentState, prior: Prior) -> None:
    """What siblings let expect. Who has learned enough of its own keeps to that."""
    tool = agent.tools.get(prior.tool)
    if tool is None:
        return
    failed, seconds = prior.failed, prior.seconds
    if failed is not None:
        tool.baseline.inherit(Share(failed.mean, failed.worth), failed.siblings)
    if seconds is not None:
        found = Normal(seconds.mean, seconds.worth, seconds.variance)
        tool.usual_latency.inherit(found, seconds.siblings)


def _cold(tool: ToolState) -> bool:
    return (tool.baseline.status, tool.usual_latency.status) != ("live", "live")


def _seconds(tool: ToolState) -> Moments | None:
    n, mean, variance = tool.usual_latency.own
    return Moments(n, mean, variance) if n >= _MEASURED_MIN else None


def _next(n: int) -> int:
    """Calls after which an agent tells again.

    >>> [_next(n) for n in (1, 9, 10, 90, 100, 9000)]
    [10, 10, 30, 180, 200, 13096]
    """
    return next((at for at in _FIRST if at > n), n + min(n, _TELL_MAX))
