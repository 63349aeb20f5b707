"""The demo's report: the fleet's own logs beside what the pipeline stored, and a judgement. Pure.

The fleet says what happened (calls, gate changes, events emitted), the store what Tracefuse made of it;
neither is believed alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dashboards.demo_facts import STOPPED, Account, Ordered, Outcome, Quantiles, Stored, quantiles
from dashboards.demo_findings import false_findings
from dashboards.demo_outcome import outcome
from ingest.simulate.journal import Exit
from ingest.simulate.roles import Role, agent_file
from ingest.simulate.work import TASKS

_LATE = "the deadline"  # no gate has refused it


class Counts(msgspec.Struct, frozen=True):
    """Events of the demo's tenant."""

    sent: int
    stored: int
    lost: int
    duplicates: int
    dead_lettered: int
    per_record_mean: float


class Report(msgspec.Struct, frozen=True):
    """Everything that the demo measured (architecture: the command line)."""

    duration_s: float
    tenant: str
    agents: int
    events: Counts
    throughput_eps: float
    false_trips: int
    false_alarms: int
    false_refusals: int
    latency_ms: dict[str, Quantiles]
    cpu_us_per_event: dict[str, float]
    scenarios: list[Outcome]
    problems: list[str]


def report(
    roles: Sequence[Role],
    accounts: Mapping[str, Account],
    stored: Stored,
    tenant: str,
    duration_s: float,
    cpu_us: Mapping[str, float],
) -> Report:
    """Judge a demo. `cpu_us` is the CPU time of each process of the stack during it, in µs."""
    exits = [account.exit for account in accounts.values()]
    sent = sum(one.stats.get("emitted", 0) for one in exits if one is not None)
    counts = Counts(
        sent=sent,
        stored=stored.rows,
        lost=sent - stored.unique - stored.dead_lettered,
        duplicates=stored.rows - stored.unique,
        dead_lettered=stored.dead_lettered,
        per_record_mean=round(stored.rows / stored.records, 2) if stored.records else 0.0,
    )
    outcomes = [outcome(role, accounts[role.agent], stored) for role in roles if role.faulty]
    wrong = false_trips(roles, accounts, stored.orders)
    refused = false_refusals(roles, accounts)
    per_event = {name: round(used / max(stored.unique, 1), 2) for name, used in cpu_us.items()}
    return Report(
        duration_s=round(duration_s, 1),
        tenant=tenant,
        agents=len(roles),
        events=counts,
        throughput_eps=round(stored.unique / duration_s, 1),
        false_trips=len(wrong),
        false_alarms=_false_alarms(roles, stored),
        false_refusals=sum(refused.values()),
        latency_ms={
            "detect_to_stop": quantiles(_stop_times(accounts, stored)),
            "acknowledged": quantiles(_acknowledged_times(stored)),
            "verdict": quantiles(_verdict_times(roles, accounts)),
            "stored": stored.lags_ms,
        },
        cpu_us_per_event=per_event | {"total": round(sum(per_event.values()), 2)},
        scenarios=outcomes,
        problems=[*_problems(counts, roles, accounts), *wrong]
        + false_findings(roles, accounts, stored)
        + list(in_words(refused))
        + [f"{one.name}: {one.problem}" for one in outcomes if one.problem],
    )


def both(first: Report, rest: Report) -> Report:
    """One report of two performances; times and CPU are those of the first, whose load is the usual one."""
    counts = Counts(
        **{
            field: getattr(first.events, field) + getattr(rest.events, field)
            for field in ("sent", "stored", "lost", "duplicates", "dead_lettered")
        },
        per_record_mean=first.events.per_record_mean,
    )
    return msgspec.structs.replace(
        first,
        duration_s=first.duration_s + rest.duration_s,
        agents=first.agents + rest.agents,
        events=counts,
        false_trips=first.false_trips + rest.false_trips,
        false_alarms=first.false_alarms + rest.false_alarms,
        false_refusals=first.false_refusals + rest.false_refusals,
        scenarios=[*first.scenarios, *rest.scenarios],
        problems=[*first.problems, *rest.problems],
    )


def _problems(
    counts: Counts, roles: Sequence[Role], accounts: Mapping[str, Account]
) -> Iterable[str]:
    if counts.lost:
        yield f"{counts.lost} events were lost"
    if counts.duplicates:
        yield f"{counts.duplicates} events were stored twice"
    for role in roles:
        ended = accounts[role.agent].exit
        if ended is not None and (kept := _undelivered(ended)):
            yield f"{role.agent}: {kept} events wait in its spool for its next start"
        if ended is not None and (dropped := ended.stats.get("dropped")):
            yield f"{role.agent}: its SDK dropped events: {dropped}"
        if ended is None:
            yield f"{role.agent}: its process did not end in order, so what it sent is unknown"
        elif ended.error:
            yield f"{role.agent}: {ended.error}"


def _undelivered(ended: Exit) -> int:
    """Events that the broker never acknowledged: they count as lost until the agent comes back."""
    return int(ended.stats.get("emitted", 0) - ended.stats.get("delivered", 0))


def false_trips(
    roles: Sequence[Role], accounts: Mapping[str, Account], orders: Iterable[Ordered]
) -> list[str]:
    """Stops of agents that did nothing wrong, or not yet, or whose calls alone did, in words."""
    never = float("inf")
    began = {
        role.agent: accounts[role.agent].marks.get("fault", never) if _breaks(role) else never
        for role in roles
    }
    return [
        f"{order.agent_id} was stopped by {order.rule} without a fault"
        for order in orders
        if order.state in STOPPED and 0 < order.last_emitted_at < began.get(order.agent_id, 0)
    ]


def _breaks(role: Role) -> bool:
    """Whether the agent itself is at fault, once its fault has begun."""
    return role.fault is not None and role.fault.stops


def false_refusals(roles: Sequence[Role], accounts: Mapping[str, Account]) -> Counter[str]:
    """Calls that were refused though nothing forbade them, counted by agent and gate, in words."""
    found: Counter[str] = Counter()
    for role in roles:
        began = accounts[role.agent].marks.get("fault", 0) if _breaks(role) else float("inf")
        for one in accounts[role.agent].refusals:
            if not one.forbidden and one.at_us < began:
                found[f"calls of {role.agent} were refused by {one.gate or _LATE}"] += 1
    return found


def in_words(refused: Mapping[str, int]) -> Iterable[str]:
    """What was refused without a fault; all that only waited too long has one cause, and one line."""
    late = {words: n for words, n in refused.items() if words.endswith(f" {_LATE}")}
    for words, n in refused.items():
        if words not in late:
            yield f"{n} {words} without a fault"
    if late:
        yield (
            f"{sum(late.values())} calls of {len(late)} agents got no verdict within their second: the"
            " machine is too busy; play a lower --rate, or nothing else beside it"
        )


def _verdict_times(roles: Sequence[Role], accounts: Mapping[str, Account]) -> Iterable[float]:
    """What held calls waited before they ran, ms. People take their own time."""
    for role in roles:
        classes = agent_file(role, "").held
        held = {tool.name for tool in TASKS[role.task].instruments if tool.access in classes}
        for call in accounts[role.agent].calls:
            if call.tool in held and not call.needs_person:
                yield (call.start_us - call.asked_us) / 1e3


def _false_alarms(roles: Sequence[Role], stored: Stored) -> int:
    """Incidents of healthy agents that stopped nobody: they cost people's time, not agents'."""
    healthy = {role.agent for role in roles if not role.faulty}
    told = {s.incident_id for s in stored.signals if s.agent_id in healthy and not s.cmd_id}
    return len(told - {""})


def _stop_times(accounts: Mapping[str, Account], stored: Stored) -> Iterable[float]:
    """Detect-to-stop of every stop of every agent, ms."""
    emitted = {o.cmd_id: o.last_emitted_at for o in stored.orders if o.state in STOPPED}
    for account in accounts.values():
        for change in account.changes:
            if since := emitted.get(change.cmd_id):
                yield (change.at_us - since) / 1e3


def _acknowledged_times(stored: Stored) -> Iterable[float]:
    """From the telling event to the acknowledgement on the record, ms."""
    for order in stored.orders:
        if order.last_emitted_at and (at := stored.acknowledged.get(order.cmd_id)):
            yield (at - order.last_emitted_at) / 1e3
