"""Who works in a made fleet: agents with tools, tasks, prices and hours of their own. Pure, seeded.

Written from how agents work, not from what detectors look at: heavy-tailed durations, failures that
come in clumps, a day and a week, deploys that change an agent lawfully, bursts of honest work.
"""

import math
import random
from dataclasses import dataclass, field

from ingest.agent_file import Access, AgentFile, Budgets, Limits, Owner, Tool

DAY = 86_400.0
WEEK = 7 * DAY
TENANT = "acme"
VERBS: list[tuple[str, Access]] = [
    ("find", "read"), ("fetch", "read"), ("list", "read"), ("check", "read"), ("quote", "read"),
    ("update", "write"), ("send", "write"), ("book", "write"),
]  # fmt: skip
TAIL = 0.004  # of the calls hang on something: a lock, a cold cache, a lost packet
PEAK_HOUR = 14.0


@dataclass(slots=True)
class Habit:
    """One tool in the hands of one agent."""

    name: str
    access: Access
    seconds: float  # median
    spread: float  # of the logarithm
    fails: float  # share


@dataclass(slots=True)
class Window:
    """Something that lasts from one moment of record time to another, and how strong it is."""

    begins: float
    ends: float
    factor: float = 1.0

    def holds(self, at: float) -> bool:
        return self.begins <= at < self.ends


@dataclass(slots=True)
class Habits:
    """One agent as it works while nothing is wrong with it."""

    name: str
    tools: list[Habit]
    tasks: list[list[int]]  # the usual way of each task: tools by index
    runs_a_day: float
    hour: float  # by which its day is shifted
    tokens: float  # median of a model's call
    price: float  # USD a token
    weekend: float  # share of the work that is left on a Saturday
    bursts: list[Window] = field(default_factory=list)
    deploys: list[float] = field(default_factory=list)
    bundle: int = 0

    def rate(self, at: float) -> float:
        """Runs a second that begin at a moment of a day of a week."""
        hour = (at % DAY) / 3600 - self.hour
        season = 1 + 0.8 * math.cos((hour - PEAK_HOUR) / 24 * 2 * math.pi)
        week = (
            self.weekend if (at // DAY) % 7 in (2, 3) else 1.0
        )  # the first day of 1970: a Thursday
        return self.runs_a_day / DAY * season * week * self.burst(at)

    def burst(self, at: float) -> float:
        return next((burst.factor for burst in self.bursts if burst.holds(at)), 1.0)

    def load(self, name: str, at: float) -> float:
        """How much slower a tool is in this hour: its other users come and go."""
        noise = random.Random(f"{name}/{int(at // 3600)}").gauss(0.0, 0.12)
        return math.exp(noise) * (1.25 if self.burst(at) > 1 else 1.0)

    def deploy(self, rng: random.Random) -> None:
        """A new bundle: other lengths, other speeds, now and then a step more. Nothing is wrong with it."""
        self.bundle += 1
        self.tokens *= math.exp(rng.gauss(0.0, 0.15))
        for tool in self.tools:
            tool.seconds *= math.exp(rng.gauss(0.0, 0.1))
        if rng.random() < 0.3:
            task = rng.choice(self.tasks)
            task.insert(rng.randrange(len(task)), self._read(rng))

    def _read(self, rng: random.Random) -> int:
        return rng.choice([i for i, tool in enumerate(self.tools) if tool.access == "read"])


def fleet(agents: int, begins: float, days: float, seed: int) -> list[Habits]:
    """So many agents, and what lawfully happens to them: about a deploy and a burst a week each."""
    return [_agent(i, begins, days, random.Random(f"{seed}/{i}")) for i in range(agents)]


def _agent(number: int, begins: float, days: float, rng: random.Random) -> Habits:
    verbs = rng.sample(VERBS[:5], rng.randint(2, 4)) + rng.sample(VERBS[5:], rng.randint(1, 2))
    tools = [
        Habit(f"{rng.choice(('crm', 'mail', 'wiki', 'shop', 'bank'))}.{verb}{number % 7}", access,
              math.exp(rng.gauss(-0.7, 0.7)), rng.uniform(0.25, 0.7), math.exp(rng.gauss(-4.6, 0.6)))
        for verb, access in verbs
    ]  # fmt: skip
    reads = [i for i, tool in enumerate(tools) if tool.access == "read"]
    writes = [i for i, tool in enumerate(tools) if tool.access != "read"]
    tasks = [
        [*rng.choices(reads, k=rng.randint(1, 4)), rng.choice(writes)]
        for _ in range(rng.randint(2, 4))
    ]
    bursts, deploys, ends = [], [], begins + days * DAY
    at = begins + rng.expovariate(1 / WEEK)
    while at < ends:
        bursts.append(Window(at, at + rng.uniform(600, 3600), rng.uniform(4, 10)))
        at += 3600 + rng.expovariate(1 / WEEK)
    at = begins + rng.expovariate(1 / WEEK)
    while at < ends:
        deploys.append(at)
        at += rng.expovariate(1 / WEEK)
    return Habits(
        f"agent-{number:03d}", tools, tasks, runs_a_day=72 * math.exp(rng.gauss(0.0, 0.6)),
        hour=rng.uniform(-4, 4), tokens=math.exp(rng.gauss(7.0, 0.5)), price=rng.choice((1e-6, 3e-6, 1e-5)),
        weekend=rng.choice((0.25, 0.5, 1.0)), bursts=bursts, deploys=deploys,
    )  # fmt: skip


def file_of(habits: Habits) -> AgentFile:
    """What a careful owner declares: typical times, and caps well above what the agent does."""
    run_usd = 12 * habits.tokens * habits.price
    return AgentFile(
        habits.name, TENANT, owner=Owner("team", ("alertmanager",)),
        tools={
            tool.name: Tool(access=tool.access, latency_ms=2000 * tool.seconds * math.exp(tool.spread))
            for tool in habits.tools
        },
        limits={"read": Limits(per_minute=600), "write": Limits(per_minute=60)},
        budgets=Budgets(run_usd=run_usd * 20, day_usd=run_usd * habits.runs_a_day * 10),
    )  # fmt: skip
