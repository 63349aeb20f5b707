"""How scenarios ended in which single calls, or answers, must not pass: each judged one by one. Pure."""

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from dashboards.demo_facts import Account, Found, Outcome, Stored
from ingest.simulate.roles import Role, agent_file
from ingest.simulate.scenario import Scenario
from tracefuse.guards import instead


def incident_of(signals: Iterable[Found]) -> str:
    """The first incident that people saw; empty for none."""
    return next((signal.incident_id for signal in signals if signal.incident_id), "")


def refused(
    role: Role, scenario: Scenario, account: Account, stored: Stored, signals: list[Found]
) -> Outcome:
    """Each forbidden call must be refused by its gate before it runs, and the refusal be on record."""
    refusals = [one for one in account.refusals if one.forbidden and one.gate == scenario.gate]
    ran = sum(call.forbidden for call in account.calls)
    known = {(one.trace_id, one.gate) for one in stored.refusals if one.agent_id == role.agent}
    recorded = bool(refusals) and all((one.trace_id, one.gate) in known for one in refusals)
    if ran:
        problem = f"{ran} calls ran that must not"
    elif not refusals:
        problem = f"the gate {scenario.gate} refused nothing"
    elif not recorded:
        problem = "a refusal is not on record"
    elif scenario.expected == "step-up" and not incident_of(signals):
        problem = "nobody was told: there is no incident"
    else:
        problem = _person(role, scenario, account, stored)
    took = [(one.at_us - one.asked_us) / 1e3 for one in refusals]
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=True,
        detected=bool(refusals), stopped=bool(refusals) and not ran, acknowledged=recorded,
        detect_to_stop_ms=round(took[0], 3) if took else None, stops=len(refusals),
        calls_after_stop=ran, incident_id=incident_of(signals), problem=problem,
    )  # fmt: skip


def _person(role: Role, scenario: Scenario, account: Account, stored: Stored) -> str:
    """What is missing of a person's part, where there is one."""
    if scenario.person == "refuses":
        no = {a.trace_id for a in stored.answers if (a.agent_id, a.word) == (role.agent, "refused")}
        silent = sum(one.forbidden and one.trace_id not in no for one in account.refusals)
        return f"to {silent} calls nobody said no" if silent else ""
    if scenario.person == "promotes":
        asked = [deed.outcome for deed in account.deeds if deed.what == "promotes"]
        if not asked:
            return "nobody asked for the promotion"
        return "" if asked == ["refused"] else f"the promotion was not refused: {asked[-1]}"
    return ""


def agreed(
    role: Role, scenario: Scenario, account: Account, stored: Stored, signals: list[Found]
) -> Outcome:
    """Each call that needs a person must wait for a yes, run after it, and once for each."""
    yes: dict[str, list[int]] = {}
    for one in stored.answers:
        if (one.agent_id, one.word) == (role.agent, "approved"):
            yes.setdefault(one.trace_id, []).append(one.at)
    ran: dict[str, list[int]] = {}
    for call in account.calls:
        if call.needs_person:
            ran.setdefault(call.trace_id, []).append(call.start_us)
    alone = sum(_without(starts, yes.get(trace_id, [])) for trace_id, starts in ran.items())
    missed = len(yes.keys() - ran.keys())
    if alone:
        problem = f"{alone} calls ran without a yes of their own"
    elif not yes:
        problem = "nobody agreed to anything"
    elif missed:
        problem = f"{missed} calls did not run though somebody agreed"
    else:
        problem = "" if incident_of(signals) else "nobody was told: there is no incident"
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=True,
        detected=bool(signals), stopped=bool(yes) and not alone, acknowledged=bool(yes),
        stops=len(yes), calls_after_stop=alone,
        incident_id=incident_of(signals), problem=problem,
    )  # fmt: skip


def _without(starts: list[int], times: list[int]) -> int:
    """Calls of one run that have no yes of their own before them."""
    pairs = zip_longest(sorted(starts), sorted(times), fillvalue=2**63)
    return sum(yes > start for start, yes in pairs)


def replaced(role: Role, scenario: Scenario, account: Account, stored: Stored) -> Outcome:
    """Each answer without its form must be replaced by what the file declares, and be on record."""
    declared: object = instead(agent_file(role, "").fallbacks["output"], Any)
    bad = [one for one in account.told if one.malformed]
    reached = sum(not one.replaced for one in bad)
    wrong = sum(one.replaced and one.said != declared for one in bad)
    spoilt = sum(one.replaced for one in account.told if not one.malformed)
    known = {trace_id for agent_id, trace_id in stored.malformed if agent_id == role.agent}
    answered = {one.trace_id for one in bad}
    if reached:
        problem = f"{reached} malformed answers reached a user"
    elif not bad:
        problem = "no answer was replaced"
    elif wrong:
        problem = f"{wrong} answers were replaced by something that the file does not declare"
    elif spoilt:
        problem = f"{spoilt} answers were replaced though they were in form"
    elif answered - known:
        problem = f"{len(answered - known)} malformed answers are not on record"
    elif known - answered:
        problem = f"{len(known - answered)} users got no answer at all"
    else:
        problem = ""
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=True,
        detected=bool(known), stopped=bool(bad) and not reached and not wrong,
        acknowledged=bool(bad) and answered <= known, stops=len(bad) - reached,
        calls_after_stop=reached, problem=problem,
    )  # fmt: skip
