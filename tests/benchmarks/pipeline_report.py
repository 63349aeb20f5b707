"""What `pipeline` says of a run: cost by process, promises, why it does not count, a table. Pure."""

from collections.abc import Iterator

from tests.benchmarks.promises import Json

EPS_MIN = 5_000.0
LAG_S_MAX = 1.0
CPU_US_MAX = 250.0
BYTES_MIN = 600.0


def per_event(used_us: dict[str, float], events: int, loop_us: float) -> dict[str, float]:
    """CPU per event by kind of process, µs; `total` leaves out what making the events costs.

    >>> per_event({"sink": 40.0, "agents": 100.0}, events=2, loop_us=15.0)
    {'sink': 20.0, 'sdk': 35.0, 'total': 55.0, 'event_making': 15.0}
    """
    found = {kind: us / max(events, 1) for kind, us in used_us.items()}
    if "agents" in found:
        found["sdk"] = found.pop("agents") - loop_us
    found["total"] = sum(found.values())
    found["event_making"] = loop_us
    return {kind: round(us, 1) for kind, us in found.items()}


def problems(found: Json, settled: bool) -> Iterator[str]:
    events = found["events"]
    if not settled or events["lost"]:
        yield f"{events['lost']} events are not stored long after the last was sent"
    for what in ("duplicates", "dead_lettered"):
        if events[what]:
            yield f"{events[what]} events {what.replace('_', '-')}"
    if found["refused"]:
        yield f"healthy agents were refused {found['refused']} times"


def figures(found: Json) -> list[Json]:
    """Promised and measured, side by side."""
    return [
        {"name": "events a second", "unit": "1/s", "promised_min": EPS_MIN, "measured": found["sent_eps"]},
        {"name": "bytes an event", "unit": "bytes", "promised_min": BYTES_MIN,
         "measured": found["events"]["bytes_mean"]},
        {"name": "from emit to queryable row, 99th percentile", "unit": "s",
         "promised_max": LAG_S_MAX, "measured": found["lag_s"]["p99"]},
        {"name": "CPU of all processes per event", "unit": "us", "promised_max": CPU_US_MAX,
         "measured": found["cpu_us_per_event"]["total"]},
    ]  # fmt: skip


def table(found: Json) -> str:
    """The report for people."""
    events, machine, lag = found["events"], found["machine"], found["lag_s"]
    cost = "  ".join(f"{kind} {us}" for kind, us in found["cpu_us_per_event"].items())
    lines = [
        f"source      {found['source']}",
        f"events      {events['sent']} sent, {events['stored']} stored, {events['lost']} lost, "
        f"{events['duplicates']} twice; {events['bytes_mean']} bytes, "
        f"{events['per_record_mean']} a record",
        f"rate        {found['sent_eps']} events/s, {found['steps_per_s']} steps/s; bursts late "
        f"by {found['late_ms']['p50']} / {found['late_ms']['p99']} / {found['late_ms']['max']} ms",
        f"lag         emit to row {lag['p50']} / {lag['p99']} / {lag['max']} s (p50, p99, max of "
        f"{lag['n']}); all stored {found['last_emit_to_all_stored_s']} s after the last emit",
        f"behind      {found['lag_records']['at_last_emit']} records at the last emit, "
        f"{found['lag_records']['settled']} at the end",
        f"cpu, us     {cost} (the probes: {found['probes']['store_us_per_event']} of the store's)",
        f"signals     {found['signals']}, {found['commands']} commands, {found['refused']} refused",
        f"waited      {machine['waited_ms_per_s']} ms a second for a core",
        f"machine     {machine['cpu']}, load {machine['load_before'][0]} to "
        f"{machine['load_after'][0]}, {machine['seconds']} s",
    ]
    return "\n".join(lines + [f"PROBLEM     {problem}" for problem in found["problems"]])
