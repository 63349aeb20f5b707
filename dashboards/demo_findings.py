"""How scenarios ended that a detector only marks, and whether it was silent where nothing was wrong. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from dashboards.demo_facts import Account, Found, Outcome, Stored
from ingest.simulate.roles import Role
from ingest.simulate.scenario import Scenario
from ingest.simulate.scenarios import SCENARIOS


def found(role: Role, scenario: Scenario, account: Account, signals: Sequence[Found]) -> Outcome:
    """The detector must have found the fault; of calls that must not run, none may have."""
    since = account.marks.get("fault", 0)
    late_ms = [(signal.at - since) / 1e3 for signal in signals if since and signal.at >= since]
    ran = sum(call.forbidden for call in account.calls)
    refusals = sum(one.forbidden for one in account.refusals)
    if not since:
        problem = "its history took so long that the fault did not begin: play longer"
    elif not late_ms:
        problem = f"{scenario.detector} found nothing"
    elif ran:
        problem = f"{ran} calls ran that must not"
    elif scenario.expected == "step-up" and not refusals:
        problem = "no call waited for a person"
    else:
        problem = ""
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=False,
        detected=bool(late_ms), stopped=False, acknowledged=False,
        alarm_ms=round(min(late_ms), 3) if late_ms else None, stops=refusals, calls_after_stop=ran,
        incident_id=next((s.incident_id for s in signals if s.incident_id), ""), problem=problem,
    )  # fmt: skip


def false_findings(
    roles: Iterable[Role], accounts: Mapping[str, Account], stored: Stored
) -> list[str]:
    """What a detector says of the twin of its scenario, or of the agent before its fault, in words."""
    wrong = []
    for role in roles:
        scenario = SCENARIOS.get(role.scenario)
        if scenario is None or not scenario.all_only:
            continue
        began = accounts[role.agent].marks.get("fault", 2**63) if role.faulty else 2**63
        n = sum(
            (one.agent_id, one.detector) == (role.agent, scenario.detector) and one.at < began
            for one in stored.signals
        )
        if n:
            wrong.append(f"{scenario.detector} fired {n} times at {role.agent} without a fault")
    return wrong
