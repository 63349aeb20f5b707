"""From the event that proves a loop to the agent's gate: milliseconds, and the calls that slipped through.

    python -m tests.benchmarks.stop --report FILE

Agents loop in fresh runs until they are stopped, under a background of healthy ones, on an embedded stack
with all detectors on. Exit code 1 when the run was no measurement (a run was not stopped, events were lost,
a process died), 2 when a promise was not kept.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from clickhouse_connect.driver.client import Client

from dashboards import clickhouse
from dashboards.cpu import by_kind
from dashboards.demo_facts import quantiles
from tests.benchmarks import cpu
from tests.benchmarks.agents import roles
from tests.benchmarks.bare import times, ways_ms
from tests.benchmarks.loopers import TRIP_S
from tests.benchmarks.promises import Json, exit_code, plain
from tests.benchmarks.stage import SIMULATOR_NICE, TENANT, Crewmen, Invalid, Stage
from tests.benchmarks.trips import HOPS, Trip, Way, hops, trips
from tracefuse.clock import monotonic, now_us

TRIPS = 500
PROCESSES = 4
WIDTH = 3  # runs at a time in each process: 12 loops at once trip about 13 times a second
RATE = 2_000.0  # events a second of the background
AGENTS = 16
WARM_S = 5.0  # the background alone, so that connections and caches are as they will be
P50_MS_MAX, P99_MS_MAX = 30.0, 100.0
SETTLE_S = 60.0

_ROWS = "SELECT count(), uniqExact(event_id) FROM events WHERE tenant = {tenant:String}"
_SIGNALS = "SELECT detector, count() FROM signals GROUP BY detector ORDER BY detector"
# The last event in evidence leads to its record on both topics.
_WAYS = """
SELECT c.cmd_id, c.issued, e.at, s.at, a.at
FROM (
    SELECT cmd_id, evidence[-1] AS last, toUnixTimestamp64Micro(issued_at) AS issued
    FROM control_log WHERE tenant = {tenant:String} AND record = 'command' AND rule = 'exact_loop'
) AS c
INNER JOIN (
    SELECT event_id, toUnixTimestamp64Milli(_at) * 1000 AS at FROM events
    WHERE tenant = {tenant:String} AND name = 'tool.result'
) AS e ON e.event_id = c.last
INNER JOIN (
    SELECT result_id, min(toUnixTimestamp64Milli(_at)) * 1000 AS at FROM steps
    WHERE tenant = {tenant:String} AND phase = 'complete' GROUP BY result_id
) AS s ON s.result_id = c.last
LEFT JOIN (
    SELECT cmd_id, min(toUnixTimestamp64Milli(at)) * 1000 AS at FROM control_log
    WHERE tenant = {tenant:String} AND record = 'ack' GROUP BY cmd_id
) AS a ON a.cmd_id = c.cmd_id
"""


class Stops:
    """One run on a stage.

    Parameters
    ----------
    options
        Of the command line.
    """

    def __init__(self, stage: Stage, options: argparse.Namespace):
        self._stage, self._options = stage, options

    def run(self) -> Json:
        """Everything measured. Raises `Invalid` when the agents did not start or end."""
        options, stage = self._options, self._stage
        healthy, looping = roles(options.agents), roles(PROCESSES, "looper")
        folder = stage.prepare("background", healthy)
        background = stage.crew(
            "agents", folder, [role.agent for role in healthy], SIMULATOR_NICE,
            "--agents", str(options.agents), "--rate", str(options.rate), "--duration", "86400",
        )  # fmt: skip
        loopers = stage.crew(
            "loopers", stage.prepare("loopers", looping), [role.agent for role in looping], 0,
            "--processes", str(PROCESSES), "--width", str(WIDTH), "--trips", str(options.trips),
        )  # fmt: skip
        hopping = stage.bare()
        # The agents share the two cores, so they are no others.
        everybody = {
            **stage.pids, "agents": background.process.pid, "bare": hopping.process.pid,
        }  # fmt: skip
        background.go()
        time.sleep(min(WARM_S, options.trips / 10))
        machine, before, began = cpu.Machine.now(), by_kind(everybody), monotonic()
        load_before, waited = cpu.load(), cpu.waited_ms(everybody)
        hopping.go()
        loopers.go()
        loopers.wait(60.0 + 4 * TRIP_S * options.trips / (PROCESSES * WIDTH))
        waits = cpu.waited_ms(everybody)
        each = {kind: us - before[kind] for kind, us in by_kind(everybody).items()}
        each["loopers"] = sum(one.cpu_s for one in loopers.exits.values()) * 1e6
        used = sum(each.values())
        seconds, after = monotonic() - began, cpu.Machine.now()
        for crew in (hopping, background):
            crew.process.terminate()
            crew.wait(60.0)
        found = self._facts(background, loopers)
        found["bare_ms"] = plain(quantiles(ways_ms(hopping.folder)))
        found["machine"] = {
            "cores": 2, "load_before": load_before, "load_after": cpu.load(),
            "cpu": cpu.shares(machine, after, used / 1e6), "seconds": round(seconds, 1),
            "waited_ms_per_s": cpu.a_second(waited, waits, seconds),
            "cpu_ms_per_s": {kind: round(us / 1e3 / seconds, 1) for kind, us in each.items()},
            "python": platform.python_version(),
        }  # fmt: skip
        found["problems"] += [*background.problems(), *loopers.problems()]
        found["problems"] += [*hopping.problems(), *stage.dead()]
        return found

    def _facts(self, background: Crewmen, loopers: Crewmen) -> Json:
        stopped = [
            trip
            for agent in loopers.calls
            for trip in trips(loopers.calls[agent], loopers.changes[agent])
        ]
        sent = background.sent + loopers.sent
        with clickhouse.client(self._stage.settings) as client:
            rows, unique = _settled(client, sent)
            ways = _ways(client)
            signals: dict[str, int] = dict(client.query(_SIGNALS).result_rows)  # type: ignore[arg-type]
        refused = sum(one.refused for one in background.exits.values())
        begun = sum(one.runs for one in loopers.exits.values())
        found: Json = {
            "trips": {"begun": begun, "stopped": len(stopped)},
            "detect_to_stop_ms": plain(quantiles(trip.stop_ms for trip in stopped)),
            "acknowledged_ms": plain(quantiles(_acknowledged(ways))),
            "calls_before_stop": sum(trip.before for trip in stopped),
            "calls_after_stop": sum(trip.after for trip in stopped),
            "hops_ms": {
                hop: plain(quantiles(values)) for hop, values in hops(stopped, ways).items()
            },
            "events": {
                "sent": sent, "stored": rows, "lost": sent - unique, "duplicates": rows - unique,
                "background": background.sent,
            },
            "background_eps": self._options.rate,
            "background_late_ms": plain(quantiles(background.late_ms())),
            "signals": signals,
            "background_refused": refused,
        }  # fmt: skip
        found["problems"] = list(_problems(found, stopped, self._options.trips))
        return found


def _settled(client: Client, sent: int) -> tuple[int, int]:
    """Rows and distinct events, once all are there or the time is over."""
    until = monotonic() + SETTLE_S
    while True:
        rows, unique = client.query(_ROWS, parameters={"tenant": TENANT}).result_rows[0]
        if unique >= sent or monotonic() > until:
            # Derived rows come a little later than the events they tell of.
            time.sleep(2.0)
            return int(rows), int(unique)
        time.sleep(0.5)


def _ways(client: Client) -> dict[str, Way]:
    rows = client.query(_WAYS, parameters={"tenant": TENANT}).result_rows
    return {
        row[0]: Way(issued=row[1], events=row[2], inbox=row[3], acknowledged=row[4]) for row in rows
    }


def _acknowledged(ways: dict[str, Way]) -> Iterator[float]:
    """From the command's issue to the acknowledgement on the record, ms."""
    for way in ways.values():
        if way.acknowledged:
            yield (way.acknowledged - way.issued) / 1e3


def _problems(found: Json, stopped: Sequence[Trip], wanted: int) -> Iterator[str]:
    if len(stopped) < wanted:
        yield f"{wanted - len(stopped)} of {wanted} looping runs were not stopped"
    if any(trip.emitted <= 0 for trip in stopped):
        yield "a command named no last event"
    for what in ("lost", "duplicates"):
        if found["events"][what]:
            yield f"{found['events'][what]} events {what}"
    if found["background_refused"]:
        yield f"healthy agents were refused {found['background_refused']} times"


def figures(found: Json) -> list[Json]:
    """Promised and measured, side by side."""
    took = found["detect_to_stop_ms"]
    return [
        {"name": "detect to stop, median", "unit": "ms", "promised_max": P50_MS_MAX,
         "measured": took["p50"]},
        {"name": "detect to stop, 99th percentile", "unit": "ms", "promised_max": P99_MS_MAX,
         "measured": took["p99"]},
        {"name": "calls that began after the stop", "unit": "calls", "promised_max": 0,
         "measured": found["calls_after_stop"]},
    ]  # fmt: skip


def table(found: Json) -> str:
    """The report for people."""
    stop, acks, machine = found["detect_to_stop_ms"], found["acknowledged_ms"], found["machine"]
    late, events = found["background_late_ms"], found["events"]
    lines = [
        f"trips       {found['trips']['stopped']} of {found['trips']['begun']} runs stopped, under "
        f"{found['background_eps']} events/s (late by {late['p50']} / {late['p99']} / {late['max']} ms)",
        f"stop        {stop['p50']} / {stop['p99']} / {stop['max']} ms (p50, p99, max of {stop['n']})",
        f"bare hops   {times(found['bare_ms'], stop)}",
        f"calls       {found['calls_before_stop']} before the stop, "
        f"{found['calls_after_stop']} after it",
        f"ack         {acks['p50']} / {acks['p99']} / {acks['max']} ms after the command "
        f"(p50, p99, max of {acks['n']})",
    ]
    for hop in HOPS:
        one = found["hops_ms"][hop]
        lines.append(f"  {hop:<18}{one['p50']:>8} / {one['p99']} / {one['max']} ms")
    lines += [
        f"events      {events['sent']} sent, {events['stored']} stored, {events['lost']} lost",
        f"signals     {found['signals']}, {found['background_refused']} refused",
        f"waited      {machine['waited_ms_per_s']} ms a second for a core",
        f"used        {machine['cpu_ms_per_s']} ms a second of a core",
        f"machine     {machine['cpu']}, load {machine['load_before'][0]} to "
        f"{machine['load_after'][0]}, {machine['seconds']} s",
    ]
    return "\n".join(lines + [f"PROBLEM     {problem}" for problem in found["problems"]])


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1: no measurement; 2: a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--trips", type=int, default=TRIPS)
    parser.add_argument("--rate", type=float, default=RATE, help="events a second of the rest")
    parser.add_argument("--agents", type=int, default=AGENTS, help="processes of the rest")
    parser.add_argument("--workers", type=int, default=0, help="default: by cores")
    options = parser.parse_args(arguments)
    try:
        with Stage(options.workers) as stage:
            found = Stops(stage, options).run()
    except Invalid as error:
        sys.stderr.write(f"no measurement: {error}\n")
        return 1
    report: Json = {"benchmark": "stop", "at": now_us()} | found | {"figures": figures(found)}
    sys.stdout.write(table(report) + "\n")
    if options.report:
        options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if report["problems"]:
        return 1
    return exit_code(report["figures"])


if __name__ == "__main__":
    sys.exit(main())
