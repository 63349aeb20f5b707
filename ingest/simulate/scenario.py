"""What a fault is: what must happen to its agent, and how it changes the agent's scripts. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from ingest.agent_file import Access, Approval, Budgets, Environment, Limits
from ingest.simulate.script import Script
from ingest.simulate.work import Task

HELD: tuple[Access, ...] = ("write", "irreversible")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a run begins: seconds since the fault began, and the number of this run since then."""

    elapsed_s: float
    run: int


Distortion = Callable[[Task, Moment, Random], Script | None]
"""Script of a run under the fault; None means that this run is as healthy as any other."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault with its label.

    Parameters
    ----------
    expected
        What must come of it: a word of the catalogue (``stop-run``, ``open``, ``throttle``,
        ``block-call``, ``step-up``, ``rollback``, ``annotate``), ``alarm``, or ``fallback``: the user gets
        what the agent's file declares.
    scope
        Kind of the scope that must change: ``run``, ``tool``, ``agent`` or ``bundle``; empty for an
        alarm, and where calls are refused one by one.
    must_stop
        Whether the agent's own gate must change, acknowledged; with a `gate` of the policy: whether
        each forbidden call must be refused before it runs.
    detector
        Who must find it; ``human`` where no rule can, and a person does.
    gate
        Which gate of the policy must refuse; empty where a breaker or an alarm is expected.
    fault_at_s, fault_s
        When the fault begins, seconds after the agent's start, and how long it lasts. Staggered, so
        that people can follow; the first at once, so that they see something within seconds.
    limits, budgets, approvals, held
        Of faulty agent and twin in the registry; None where the rule needs none.
    obeys
        False for an agent that ignores its gate.
    twin
        Whether a healthy agent with the same file plays beside it. One whose own runs in between are
        healthy needs none: they show that nothing else was refused.
    others
        So many more agents have the same fault at the same time.
    person
        What a person does about it while the fault lasts.
    environment
        Where the agent's process runs.
    elsewhere
        Where another process of the same agent was started, though its file does not grant it.
    describes, approved
        By tool, what it says of itself; whether the file approves exactly this, or leaves it open.
    returns
        JSON Schema of what its tools return, as its file declares it.
    declares
        Further fields of the file.
    probes
        A file of probes, which the agent runs after each run of its users' work (docs/probes.md).
    usual
        Healthy runs of the agent and its twin; None for those of the task.
    warm
        So many of them are played first, as fast as they go: the history that a detector needs.
    starts_s
        How long agent and twin wait before their first run.
    lasts_s
        Seconds that agent and twin play, beside all other fleets: their detector needs so long of the
        broker's own time. 0 for as long as the others.
    all_only
        Whether it is played by `tracefuse demo --all` only.
    """

    name: str
    expected: str
    scope: str
    must_stop: bool
    detector: str
    task: str
    distort: Distortion
    fault_at_s: float
    fault_s: float = 1e9
    limits: Limits | None = None
    budgets: Budgets | None = None
    approvals: tuple[Approval, ...] = ()
    held: tuple[Access, ...] = HELD
    gate: str = ""
    obeys: bool = True
    twin: bool = True
    others: int = 0
    person: Literal["", "approves", "refuses", "kills", "promotes"] = ""
    environment: Environment = "dev"
    elsewhere: str = ""
    describes: Mapping[str, str] = field(default_factory=dict)
    approved: bool = True
    returns: Mapping[str, Any] = field(default_factory=dict)
    declares: Mapping[str, Any] = field(default_factory=dict)
    probes: str = ""
    usual: Callable[[Task, Random], Script] | None = None
    warm: int = 0
    starts_s: float = 0.0
    lasts_s: float = 0.0
    all_only: bool = False

    @property
    def stops(self) -> bool:
        """Whether the agent itself is at fault, so that from then on any call of it may be refused."""
        return not self.gate and self.expected != "fallback"
