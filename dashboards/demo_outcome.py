"""How a scenario of the demo ended: was it found, stopped, acknowledged, and did the stop hold. Pure."""

from collections.abc import Iterable
from itertools import pairwise

from dashboards.demo_facts import STOPPED, Account, Found, Ordered, Outcome, Stored
from dashboards.demo_findings import found
from dashboards.demo_refusals import agreed, incident_of, refused, replaced
from ingest.simulate.journal import Call, Change
from ingest.simulate.roles import Role
from ingest.simulate.scenario import Scenario

# An alarm later than this is too late to be of use; the same limit as for acknowledgements.
ALARM_MS_MAX = 5_000.0
# A call that had passed its gate when the gate changed may start this much later: two turns of
# Python's thread switch.
ADMITTED_US = 10_000
# Timers of the operating system may wake a spaced call this much too early.
SPACING_SHARE = 0.9


def outcome(role: Role, account: Account, stored: Stored) -> Outcome:
    """How one faulty agent's scenario ended."""
    scenario = role.fault
    assert scenario is not None
    signals = [
        s for s in stored.signals if (s.agent_id, s.detector) == (role.agent, scenario.detector)
    ]
    orders = [order for order in stored.orders if order.agent_id == role.agent]
    if scenario.person == "approves":
        return agreed(role, scenario, account, stored, signals)
    if scenario.person == "kills":
        return _kill_outcome(role, scenario, account, stored, orders)
    if scenario.all_only and not scenario.must_stop:
        return found(role, scenario, account, signals)
    if scenario.expected == "fallback":
        return replaced(role, scenario, account, stored)
    if scenario.gate:
        return refused(role, scenario, account, stored, signals)
    if scenario.must_stop:
        return _stop_outcome(role, scenario, account, stored, signals, orders)
    return _alarm_outcome(role, scenario, account, signals, orders)


def _stop_outcome(
    role: Role,
    scenario: Scenario,
    account: Account,
    stored: Stored,
    signals: list[Found],
    orders: list[Ordered],
) -> Outcome:
    trips = [
        order for order in orders
        if order.rule == scenario.detector and order.state in STOPPED
        and order.scope.startswith(f"{scenario.scope}:")
    ]  # fmt: skip
    change_of = {change.cmd_id: change for change in account.changes}
    stops = [(trip, change_of[trip.cmd_id]) for trip in trips if trip.cmd_id in change_of]
    took = [(change.at_us - trip.last_emitted_at) / 1e3 for trip, change in stops]
    before = sum(_between(account.calls, trip, change) for trip, change in stops)
    after = sum(_after(account, trip, change) for trip, change in stops)
    acknowledged = bool(stops) and all(t.cmd_id in stored.acknowledged for t, _ in stops)
    if not signals:
        problem = f"{scenario.detector} found nothing"
    elif not stops:
        problem = f"no {scenario.scope} breaker of {scenario.detector} reached the agent"
    elif len(stops) < len(trips):
        problem = f"{len(trips) - len(stops)} of {len(trips)} stops came too late or never"
    elif after:
        problem = f"{after} calls ran after the stop"
    elif not acknowledged:
        problem = "a stop was not acknowledged"
    elif scenario.scope == "bundle" and not _goes_on(account, *stops[0]):
        problem = "no other version went on"
    else:
        problem = ""
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=True,
        detected=bool(signals), stopped=bool(stops), acknowledged=acknowledged,
        detect_to_stop_ms=round(took[0], 3) if took else None, stops=len(stops),
        calls_before_stop=before, calls_after_stop=after,
        incident_id=incident_of(signals), problem=problem,
    )  # fmt: skip


def _kill_outcome(
    role: Role, scenario: Scenario, account: Account, stored: Stored, orders: list[Ordered]
) -> Outcome:
    """A person's order must reach the gate by itself, and its owner must make it its own."""
    deed = next((one for one in account.deeds if one.what == "kills"), None)
    cmd_id = deed.cmd_id if deed is not None else ""
    order = next((one for one in orders if cmd_id and one.cmd_id == cmd_id), None)
    change = next((one for one in account.changes if cmd_id and one.cmd_id == cmd_id), None)
    mirrored = [
        one for one in orders
        if order is not None and one.cmd_id != cmd_id
        and (one.scope, one.state, one.rule) == (order.scope, "forced_open", scenario.detector)
    ]  # fmt: skip
    given = [cmd_id, *(one.cmd_id for one in mirrored)]
    acknowledged = change is not None and all(one in stored.acknowledged for one in given)
    after = _after(account, order, change) if order is not None and change is not None else 0
    if deed is None:
        problem = "nobody gave the order"
    elif order is None:
        problem = f"the order is not on record: {deed.outcome}"
    elif change is None:
        problem = "the order did not reach the agent"
    elif after:
        problem = f"{after} calls ran after the stop"
    elif not mirrored:
        problem = "its owner did not make the order its own"
    else:
        problem = "" if acknowledged else "a stop was not acknowledged"
    took = (change.at_us - deed.at_us) / 1e3 if deed is not None and change is not None else None
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=True,
        detected=order is not None, stopped=change is not None, acknowledged=acknowledged,
        detect_to_stop_ms=None if took is None else round(took, 3), stops=int(change is not None),
        calls_after_stop=after, problem=problem,
    )  # fmt: skip


def _alarm_outcome(
    role: Role,
    scenario: Scenario,
    account: Account,
    signals: list[Found],
    orders: list[Ordered],
) -> Outcome:
    """An alarm must come in time: after the hang, or after the command that nobody obeyed."""
    commands = [order.at for order in orders if order.state in STOPPED]
    since = account.marks.get("freeze") or min(commands, default=0)
    alarm = min((signal.at for signal in signals), default=0)
    late_ms = (alarm - since) / 1e3 if alarm and since else None
    problem = ""
    if late_ms is None:
        problem = f"{scenario.detector} found nothing"
    elif late_ms > ALARM_MS_MAX:
        problem = f"the alarm came after {late_ms / 1e3:.1f} s"
    elif not incident_of(signals):
        problem = "nobody was told: there is no incident"
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=False,
        detected=bool(signals), stopped=False, acknowledged=False,
        alarm_ms=None if late_ms is None else round(late_ms, 3),
        calls_after_stop=sum(call.start_us > commands[0] for call in account.calls) if commands else 0,
        incident_id=incident_of(signals), problem=problem,
    )  # fmt: skip


def _concerned(call: Call, scope: str) -> bool:
    """Whether a scope of the call's own agent covers it."""
    kind, _, rest = scope.partition(":")
    own = {"run": call.trace_id, "tool": call.tool, "bundle": call.bundle}
    return kind == "agent" or rest.split("/", 2)[2:] == [own.get(kind)]


def _goes_on(account: Account, trip: Ordered, change: Change) -> bool:
    """Whether calls that a stop does not concern ran after it."""
    return any(
        call.start_us > change.at_us and not _concerned(call, trip.scope) for call in account.calls
    )


def _between(calls: Iterable[Call], trip: Ordered, change: Change) -> int:
    """Calls that began after the telling event and before the stop."""
    return sum(
        _concerned(call, trip.scope) and trip.last_emitted_at < call.start_us <= change.at_us
        for call in calls
    )


def _after(account: Account, trip: Ordered, change: Change) -> int:
    """Calls that ran although they should not: until the gate changed again, or all too soon."""
    later = (
        c.at_us for c in account.changes
        if c.scope == trip.scope and c.at_us > change.at_us and c.state != change.state
    )  # fmt: skip
    end = min(later, default=2**63)
    began = sorted(
        call.start_us for call in account.calls
        if _concerned(call, trip.scope) and change.at_us < call.start_us < end
        and (call.asked_us > change.at_us or call.start_us > change.at_us + ADMITTED_US)
    )  # fmt: skip
    if change.state != "throttled":
        return len(began)
    spacing = trip.interval_ms * 1e3 * SPACING_SHARE
    return sum(b - a < spacing for a, b in pairwise(began))
