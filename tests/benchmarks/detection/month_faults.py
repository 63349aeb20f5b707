"""Faults at known times in a made month: ten kinds, spread over the fleet. Pure, seeded."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.benchmarks.detection.month_habits import Habits

HOUR = 3600.0
KINDS: dict[str, int] = {
    "tool_down": 20,  # 70 % of the calls of one tool fail
    "tool_flaky": 60,  # 20 % fail
    "tool_slow": 30,  # six times as slow
    "loop": 10,  # one run does the same again and again
    "dead_run": 10,  # a process dies within its run
    "runaway_tokens": 30,  # ten times the tokens in every call of the model
    "price": 60,  # another model behind the same name: 2.5 times the cost of a token
    "flood": 10,  # one run writes twice a second
    "hijacked": 10,  # in one run a result gives orders, and a write obeys
    "astray": 30,  # writes come first, and the checks after them
}
"""Each kind, and for how many runs of the agent it lasts, at the pace of that hour."""
ONCE = {"loop", "dead_run", "flood", "hijacked"}
"""These happen to one run: the first in their time."""


@dataclass
class Fault:
    """One fault of one agent; `traces` are the runs that it has touched."""

    kind: str
    agent: str
    begins: float
    tool: int
    ends: float = 0.0
    once: bool = False
    traces: set[str] = field(default_factory=set)


def plan(
    agents: list[Habits], begins: float, days: float, of_each: int, seed: int
) -> dict[str, list[Fault]]:
    """So many faults of each kind, by agent: in busy hours, after the first third of the time."""
    rng = random.Random(f"{seed}/faults")
    planned: dict[str, list[Fault]] = {agent.name: [] for agent in agents}
    for kind, runs in KINDS.items():
        for _ in range(of_each):
            agent = rng.choice([one for one in agents if len(planned[one.name]) < _most(agents)])
            at = _moment(agent, rng, begins, days, lambda at: _free(planned[agent.name], at))  # noqa: B023
            ends = at + runs / agent.rate(at)
            fault = Fault(kind, agent.name, at, _tool(agent, kind, rng), ends, kind in ONCE)
            planned[agent.name].append(fault)
    return planned


def _most(agents: list[Habits]) -> int:
    """Faults of one agent: as evenly as the fleet allows."""
    return max(1, round(150 / len(agents)))


def _moment(
    agent: Habits, rng: random.Random, begins: float, days: float, free: Callable[[float], bool]
) -> float:
    at = begins
    for _ in range(1000):
        at = begins + days * 86_400 * rng.uniform(0.33, 0.97)
        if free(at) and agent.rate(at) * 86_400 > agent.runs_a_day:
            return at
    return at


def _free(faults: list[Fault], at: float) -> bool:
    return all(abs(at - other.begins) > 12 * HOUR for other in faults)


def _tool(agent: Habits, kind: str, rng: random.Random) -> int:
    """The tool that it is about; what the agent does in every task, where there is one."""
    used = [index for task in agent.tasks for index in task]
    if kind in ("flood", "hijacked"):
        used = [index for index in used if agent.tools[index].access != "read"]
    return max(used, key=used.count) if kind.startswith("tool") else rng.choice(used)
