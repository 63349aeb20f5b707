"""How a scenario of the demo ended: was it found, stopped, acknowledged, and did the stop hold. Pure."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec

from dashboards.demo_facts import STOPPED, Account, Found, Ordered, Stored
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


class Outcome(msgspec.Struct, frozen=True):
    """How one scenario ended.

    ``detect_to_stop_ms`` is of its first stop; the calls are counted over all its stops. For an agent
    that cannot be stopped ``calls_after_stop`` counts what it did after the command. Where a gate of the
    policy refuses, a stop is a refusal, measured from the call, and ``calls_after_stop`` counts forbidden
    calls that ran all the same. ``problem`` is empty when all went as expected.
    """

    name: str
    agent_id: str
    expected: str
    must_stop: bool
    detected: bool
    stopped: bool
    acknowledged: bool
    detect_to_stop_ms: float | None
    alarm_ms: float | None
    stops: int
    calls_before_stop: int
    calls_after_stop: int
    incident_id: str
    problem: str


def outcome(role: Role, account: Account, stored: Stored) -> Outcome:
    """How one faulty agent's scenario ended."""
    scenario = role.fault
    assert scenario is not None
    signals = [
        s for s in stored.signals if (s.agent_id, s.detector) == (role.agent, scenario.detector)
    ]
    orders = [order for order in stored.orders if order.agent_id == role.agent]
    if scenario.gate:
        return _refusal_outcome(role, scenario, account, stored, signals)
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
    else:
        problem = "" if acknowledged else "a stop was not acknowledged"
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=True,
        detected=bool(signals), stopped=bool(stops), acknowledged=acknowledged,
        detect_to_stop_ms=round(took[0], 3) if took else None, alarm_ms=None, stops=len(stops),
        calls_before_stop=before, calls_after_stop=after,
        incident_id=_incident(signals), problem=problem,
    )  # fmt: skip


def _refusal_outcome(
    role: Role, scenario: Scenario, account: Account, stored: Stored, signals: list[Found]
) -> Outcome:
    """Each forbidden call must be refused by its gate before it runs, and the refusal be on record."""
    refused = [one for one in account.refusals if one.forbidden and one.gate == scenario.gate]
    ran = sum(call.forbidden for call in account.calls)
    known = {(one.trace_id, one.gate) for one in stored.refusals if one.agent_id == role.agent}
    recorded = bool(refused) and all((one.trace_id, one.gate) in known for one in refused)
    if ran:
        problem = f"{ran} calls ran that must not"
    elif not refused:
        problem = f"the gate {scenario.gate} refused nothing"
    elif not recorded:
        problem = "a refusal is not on record"
    else:
        asks = scenario.expected == "step-up"
        problem = "nobody was told: there is no incident" if asks and not _incident(signals) else ""
    took = [(one.at_us - one.asked_us) / 1e3 for one in refused]
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=True,
        detected=bool(refused), stopped=bool(refused) and not ran, acknowledged=recorded,
        detect_to_stop_ms=round(took[0], 3) if took else None, alarm_ms=None, stops=len(refused),
        calls_before_stop=0, calls_after_stop=ran, incident_id=_incident(signals), problem=problem,
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
    elif not _incident(signals):
        problem = "nobody was told: there is no incident"
    return Outcome(
        name=scenario.name, agent_id=role.agent, expected=scenario.expected, must_stop=False,
        detected=bool(signals), stopped=False, acknowledged=False, detect_to_stop_ms=None,
        alarm_ms=None if late_ms is None else round(late_ms, 3), stops=0, calls_before_stop=0,
        calls_after_stop=sum(call.start_us > commands[0] for call in account.calls) if commands else 0,
        incident_id=_incident(signals), problem=problem,
    )  # fmt: skip


def _incident(signals: Iterable[Found]) -> str:
    return next((signal.incident_id for signal in signals if signal.incident_id), "")


def _concerned(call: Call, scope: str) -> bool:
    """Whether a scope of the call's own agent covers it."""
    kind, _, rest = scope.partition(":")
    narrow = rest.split("/", 2)[2:]
    return kind == "agent" or narrow == [call.trace_id if kind == "run" else call.tool]


def _between(calls: Iterable[Call], trip: Ordered, change: Change) -> int:
    """Calls that began after the telling event and before the stop."""
    return sum(
        _concerned(call, trip.scope) and trip.last_emitted_at < call.start_us <= change.at_us
        for call in calls
    )


def _after(account: Account, trip: Ordered, change: Change) -> int:
    """Calls that ran although they should not: until the gate changed again, or all too soon."""
    later = (c.at_us for c in account.changes if c.scope == trip.scope and c.at_us > change.at_us)
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
