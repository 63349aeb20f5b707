"""What a fault is: what must happen to its agent, and how it changes the agent's scripts. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ingest.agent_file import Access, Approval, Budgets, Limits
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
        ``block-call``, ``step-up``) or ``alarm``.
    scope
        Kind of the scope that must change: ``run``, ``tool`` or ``agent``; empty for an alarm, and
        where calls are refused one by one.
    must_stop
        Whether the agent's own gate must change, acknowledged; with a `gate` of the policy: whether
        each forbidden call must be refused before it runs.
    detector
        Who must find it.
    gate
        Which gate of the policy must refuse; empty where a breaker or an alarm is expected.
    fault_at_s, fault_s
        When the fault begins, seconds after the agent's start, and how long it lasts. Staggered, so
        that people can follow; the first at once, so that they see something within seconds.
    limits, budgets, approvals, held
        Of faulty agent and twin in the registry; None where the rule needs none.
    obeys
        False for an agent that ignores its gate.
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
