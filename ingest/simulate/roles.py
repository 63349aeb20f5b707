"""Who is in the fleet: each faulty agent beside its healthy twin, and healthy ones of every task."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ingest.agent_toml import written
from ingest.registry import Access, AgentFile, Budgets, Limits, Owner
from ingest.simulate.scenario import HELD, Scenario
from ingest.simulate.scenarios import DEMO, SCENARIOS
from ingest.simulate.work import TASKS
from tracefuse.canonical import canonical
from tracefuse.errors import ConfigError

# With them every kind of task but the last is done by somebody who meets no fault at all.
HEALTHY = 6
# Faulty agents and twins keep to a pace of their own: their caps are tight enough to be reached.
STEADY_EPS = 30.0
# Healthy agents are never to meet a cap, however high the rate is steered.
AMPLE_LIMITS = Limits(per_minute=100_000)
AMPLE_BUDGETS = Budgets(run_usd=50.0, day_usd=5_000.0)
_REGIONS = ("eu", "us", "asia")


@dataclass(frozen=True, slots=True)
class Role:
    """One agent of the fleet.

    Parameters
    ----------
    scenario
        The fault it will have, or whose twin it is; empty for the rest.
    faulty
        False for twins and the rest: a trip of theirs is a false one.
    """

    agent: str
    task: str
    scenario: str = ""
    faulty: bool = False

    @property
    def fault(self) -> Scenario | None:
        """The fault, None for a healthy agent."""
        return SCENARIOS[self.scenario] if self.faulty else None

    @property
    def steady(self) -> bool:
        """Whether the agent keeps to `STEADY_EPS`, however high the rate of the fleet."""
        return bool(self.scenario)


def fleet(scenarios: Iterable[str] | None = None, healthy: int = HEALTHY) -> list[Role]:
    """Roles of a fleet; by default of those of the demo. Raises `ConfigError` for an unknown one.

    >>> [role.agent for role in fleet(["tool_loop"], healthy=1)]
    ['tool-loop', 'tool-loop-twin', 'refund-eu-1']
    """
    roles = []
    for name in DEMO if scenarios is None else scenarios:
        if name not in SCENARIOS:
            raise ConfigError(f"scenario {name!r} is not one of {', '.join(SCENARIOS)}")
        agent, task = name.replace("_", "-"), SCENARIOS[name].task
        names = (agent, *(f"{agent}-{n}" for n in range(2, SCENARIOS[name].others + 2)))
        roles += [Role(one, task, name, True) for one in names]
        if SCENARIOS[name].twin:
            roles.append(Role(f"{agent}-twin", task, name))
    tasks = list(TASKS)
    for n in range(healthy):
        region = _REGIONS[n // len(tasks) % len(_REGIONS)]
        number = n // (len(tasks) * len(_REGIONS)) + 1
        roles.append(Role(f"{tasks[n % len(tasks)]}-{region}-{number}", tasks[n % len(tasks)]))
    return roles


def agent_file(role: Role, tenant: str) -> AgentFile:
    """The agent as its owner declares it. A twin has the caps of the faulty one."""
    scenario = SCENARIOS.get(role.scenario)
    writing = (scenario and scenario.limits) or AMPLE_LIMITS
    limits: dict[Access, Limits] = {
        "read": AMPLE_LIMITS, "write": writing, "irreversible": AMPLE_LIMITS,
    }  # fmt: skip
    made = AgentFile(
        agent=role.agent,
        tenant=tenant,
        environment=scenario.environment if scenario else "dev",
        owner=Owner(name=f"{role.task} team", routes=("alertmanager",)),
        purpose=f"Simulated agent for {role.task}.",
        tools={
            tool.name: msgspec.structs.replace(
                tool.declared(),
                descriptor=_approved(scenario, tool.name),
                result=dict(scenario.returns) if scenario else {},
            )
            for tool in TASKS[role.task].instruments
        },
        limits=limits,
        budgets=(scenario and scenario.budgets) or AMPLE_BUDGETS,
        approvals=scenario.approvals if scenario else (),
        held=scenario.held if scenario else HELD,
    )
    return msgspec.structs.replace(made, **scenario.declares) if scenario else made


def _approved(scenario: Scenario | None, tool: str) -> str:
    """Hash of what a tool says of itself, as the SDK computes it; empty where nobody approves anything."""
    said = scenario.describes.get(tool) if scenario and scenario.approved else None
    return "" if said is None else hashlib.sha256(canonical(said)).hexdigest()


def write_registry(folder: Path, agents: Iterable[AgentFile]) -> None:
    """One TOML file per agent, in the registry's format."""
    folder.mkdir(parents=True, exist_ok=True)
    for agent in agents:
        (folder / f"{agent.agent}.toml").write_text(written(agent))
