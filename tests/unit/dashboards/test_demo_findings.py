"""How a scenario is judged that a detector only marks: found in time, and nowhere else."""

from typing import Any

import pytest

from dashboards.demo_facts import Account, Found, Quantiles, Stored
from dashboards.demo_findings import false_findings, found
from ingest.simulate.journal import Call, Refusal
from ingest.simulate.roles import fleet
from ingest.simulate.scenarios import SCENARIOS

BEGAN = 2_000_000


def account(*calls: bool, refused: int = 0, began: int = BEGAN) -> Account:
    """Calls that ran, whether each must not have; and how many were refused rightly."""
    made = Account(marks={"fault": began} if began else {})
    made.calls = [Call("t", n, "mail.send", 1, 2, 3, forbidden=no) for n, no in enumerate(calls)]
    made.refusals = [Refusal("t", "mail.send", 1, 2, forbidden=True)] * refused
    return made


def stored(*signals: Found) -> Stored:
    return Stored(0, 0, 0, 0, (), {}, signals, Quantiles())


@pytest.mark.parametrize(
    ("scenario", "told", "at", "problem"),
    [
        ("slower_tool", {}, 2_500_000, ""),
        ("slower_tool", {}, 1_500_000, "latency_baseline found nothing"),
        ("slower_tool", {"began": 0}, 2_500_000, "its history took so long"),
        ("injected_order", {"refused": 1}, 2_500_000, ""),
        ("injected_order", {}, 2_500_000, "no call waited for a person"),
    ],
)
def test_a_mark_counts_from_its_fault_on(
    scenario: str, told: dict[str, Any], at: int, problem: str
) -> None:
    """An alarm before the fault finds nothing, and a step-up without a refusal stepped nothing up."""
    role, _ = fleet([scenario], healthy=0)
    one = SCENARIOS[scenario]
    judged = found(role, one, account(False, **told), [Found(role.agent, one.detector, at)])

    assert judged.problem.startswith(problem) and bool(judged.problem) == bool(problem)
    assert judged.alarm_ms == (500.0 if at > BEGAN and told.get("began", 1) else None)


def test_a_call_that_must_not_run_is_a_problem() -> None:
    """Found, but too late to hold the call."""
    role, _ = fleet(["injected_order"], healthy=0)
    signals = [Found(role.agent, "tainted_argument", 2_100_000)]

    judged = found(role, SCENARIOS["injected_order"], account(True, refused=1), signals)
    assert judged.problem == "1 calls ran that must not"


def test_what_is_said_of_the_healthy_is_told() -> None:
    """Of the twin always, of the agent before its fault."""
    roles = fleet(["slower_tool"], healthy=0)
    accounts = {role.agent: account() for role in roles}
    said = [
        Found("slower-tool", "latency_baseline", BEGAN + 1),
        Found("slower-tool-twin", "latency_baseline", BEGAN + 1),
        Found("slower-tool-twin", "step_vector", BEGAN + 1),
        Found("slower-tool", "latency_baseline", BEGAN - 1),
    ]

    assert false_findings(roles, accounts, stored(*said)) == [
        "latency_baseline fired 1 times at slower-tool without a fault",
        "latency_baseline fired 1 times at slower-tool-twin without a fault",
    ]
