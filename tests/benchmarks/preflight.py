"""What asking first costs an agent: milliseconds until a held call has its verdict, or is refused at once.

    python -m tests.benchmarks.preflight --report FILE

An agent makes held calls under a background of healthy agents, on an embedded stack with all detectors on:
first while ClickHouse merges nothing, then while it is made to merge all the time. Exit code 1 when the
run was no measurement (a call got no verdict, events were dropped, a process died), 2 when a promise was
not kept.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

from dashboards import clickhouse
from dashboards.cpu import by_kind
from dashboards.demo_facts import quantiles
from tests.benchmarks import cpu
from tests.benchmarks.agents import roles
from tests.benchmarks.askers import WIDTH, Wait, lists
from tests.benchmarks.bare import times, ways_ms
from tests.benchmarks.promises import Json, exit_code, plain
from tests.benchmarks.stage import SIMULATOR_NICE, TENANT, Crewmen, Invalid, Stage
from tracefuse.clock import monotonic, now_us

CALLS = 1_000  # of each kind, while nothing is merged, and as many again while much is
RATE = 2_000.0  # events a second of the background
AGENTS = 16
WARM_S = 5.0  # the background alone, so that connections and caches are as they will be
P50_MS_MAX, P99_MS_MAX = 20.0, 50.0
P99_MANY_MS_MAX = 60.0
P99_DENIED_MS_MAX = 1.0
MANY = f"verdict_{WIDTH}"
KINDS = ("verdict", MANY, "denied")
MERGES = ("stopped", "forced")
# Where the time of a verdict goes: the broker's times of the three records between, whole milliseconds.
HOPS = ("call to events", "events to inbox", "inbox to verdict", "verdict to call")
_WAYS = """
SELECT v.call_id, e.at, s.at, v.at
FROM (
    SELECT call_id, min(toUnixTimestamp64Milli(_at)) * 1000 AS at FROM verdicts
    WHERE tenant = {tenant:String} GROUP BY call_id
) AS v
INNER JOIN (
    SELECT call_id, min(toUnixTimestamp64Milli(_at)) * 1000 AS at FROM events
    WHERE tenant = {tenant:String} AND name = 'tool.request' GROUP BY call_id
) AS e ON e.call_id = v.call_id
INNER JOIN (
    SELECT call_id, min(toUnixTimestamp64Milli(_at)) * 1000 AS at FROM steps
    WHERE tenant = {tenant:String} AND phase = 'request' GROUP BY call_id
) AS s ON s.call_id = v.call_id
"""
_PARTS = "SELECT count() FROM system.parts WHERE active AND table IN {tables:Array(String)}"
_BIG = ("events", "steps")  # the tables that grow
_BETWEEN_S = 0.2
_CALL_S = 0.2  # far more than one call and its pause take


class Preflights:
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
        healthy = roles(options.agents)
        background = stage.crew(
            "agents", stage.prepare("background", healthy), [role.agent for role in healthy],
            SIMULATOR_NICE,
            "--agents", str(options.agents), "--rate", str(options.rate), "--duration", "86400",
        )  # fmt: skip
        askers = {merges: self._asker(merges) for merges in MERGES}
        hopping = stage.bare()
        everybody = {
            **stage.pids, "agents": background.process.pid, "bare": hopping.process.pid,
        }  # fmt: skip
        background.go()
        time.sleep(min(WARM_S, options.calls / 100))
        machine, before, began = cpu.Machine.now(), by_kind(everybody), monotonic()
        load_before, waited = cpu.load(), cpu.waited_ms(everybody)
        hopping.go()
        found: Json = {"merges": {}}
        for merges, asker in askers.items():
            with self._merging(merges == "forced") as facts:
                asker.go()
                asker.wait(60.0 + _CALL_S * 3 * options.calls)
            found["merges"][merges] = facts
        waits = cpu.waited_ms(everybody)
        each = {kind: us - before[kind] for kind, us in by_kind(everybody).items()}
        each["askers"] = sum(e.cpu_s for a in askers.values() for e in a.exits.values()) * 1e6
        seconds, after = monotonic() - began, cpu.Machine.now()
        for crew in (hopping, background):
            crew.process.terminate()
            crew.wait(60.0)
        found |= self._facts(background, askers)
        found["bare_ms"] = plain(quantiles(ways_ms(hopping.folder)))
        found["machine"] = {
            "cores": 2, "load_before": load_before, "load_after": cpu.load(),
            "cpu": cpu.shares(machine, after, sum(each.values()) / 1e6),
            "seconds": round(seconds, 1), "waited_ms_per_s": cpu.a_second(waited, waits, seconds),
            "cpu_ms_per_s": {kind: round(us / 1e3 / seconds, 1) for kind, us in each.items()},
            "python": platform.python_version(),
        }  # fmt: skip
        for crew in (background, hopping, *askers.values()):
            found["problems"] += crew.problems()
        found["problems"] += stage.dead()
        return found

    def _asker(self, merges: str) -> Crewmen:
        """An agent with a process of its own; it waits for its turn."""
        (role,) = roles(1, f"asker-{merges}")
        folder = self._stage.prepare(f"asker-{merges}", [role])
        return self._stage.crew(
            "askers", folder, [role.agent], 0,
            "--agent", role.agent, "--calls", str(self._options.calls),
        )  # fmt: skip

    @contextmanager
    def _merging(self, forced: bool) -> Iterator[Json]:
        """ClickHouse merges nothing, or one big table after the other without an end."""
        facts: Json = {"merged": 0, "seconds": 0.0}
        over = Event()
        with clickhouse.client(self._stage.settings) as client:

            def merge() -> None:
                while not over.is_set():
                    for table in _BIG:
                        began = monotonic()
                        client.command(f"OPTIMIZE TABLE {table} FINAL")
                        facts["merged"] += 1
                        facts["seconds"] += monotonic() - began
                    over.wait(_BETWEEN_S)

            client.command("SYSTEM START MERGES" if forced else "SYSTEM STOP MERGES")
            merger = Thread(target=merge)
            if forced:
                merger.start()
            try:
                yield facts
            finally:
                over.set()
                if forced:
                    merger.join()
            facts["seconds"] = round(facts["seconds"], 1)
            facts["parts"] = client.query(_PARTS, parameters={"tables": list(_BIG)}).result_rows[0][
                0
            ]

    def _facts(self, background: Crewmen, askers: dict[str, Crewmen]) -> Json:
        waits: dict[str, dict[str, list[Wait]]] = {}
        for merges, crew in askers.items():
            (agent,) = crew.calls
            path = lists(crew.folder, agent)
            waits[merges] = json.loads(path.read_bytes()) if path.exists() else {}
        together = {
            kind: [wait for one in waits.values() for wait in one.get(kind, ())] for kind in KINDS
        }
        wrong = sum(one.refused for crew in askers.values() for one in crew.exits.values())
        refused = sum(one.refused for one in background.exits.values())
        problems = [
            f"{len(took)} of {wanted} calls: {kind}"
            for kind, took in together.items()
            if len(took) < (wanted := self._options.calls * len(MERGES))
        ]
        if wrong:
            problems.append(f"{wrong} calls ended as they should not")
        if refused:
            problems.append(f"healthy agents were refused {refused} times")
        with clickhouse.client(self._stage.settings) as client:
            rows = client.query(_WAYS, parameters={"tenant": TENANT}).result_rows
        ways = {row[0]: row[1:] for row in rows}
        return {
            "latency_ms": {kind: _took(one) for kind, one in together.items()},
            "latency_ms_by_merges": {
                merges: {kind: _took(one.get(kind, ())) for kind in KINDS}
                for merges, one in waits.items()
            },
            "hops_ms": {kind: _hops(together[kind], ways) for kind in ("verdict", MANY)},
            "background_eps": self._options.rate,
            "background_late_ms": plain(quantiles(background.late_ms())),
            "problems": problems,
        }


def _took(waits: Iterable[Wait]) -> Json:
    return plain(quantiles((heard - began) / 1e3 for _, began, heard in waits))


def _hops(waits: Iterable[Wait], ways: Mapping[str, Sequence[int]]) -> Json:
    """Milliseconds of each hop, over the calls whose records are stored.

    >>> found = _hops([("c", 1_000, 12_500)], {"c": (4_000, 7_000, 9_500)})
    >>> [one["p50"] for one in found.values()]
    [3.0, 3.0, 2.5, 3.0]
    """
    lists_: dict[str, list[float]] = {hop: [] for hop in HOPS}
    for call_id, began, heard in waits:
        if call_id in ways:
            marks = (began, *ways[call_id], heard)
            for hop, (start, end) in zip(HOPS, pairwise(marks), strict=True):
                lists_[hop].append((end - start) / 1e3)
    return {hop: plain(quantiles(took)) for hop, took in lists_.items()}


def figures(found: Json) -> list[Json]:
    """Promised and measured, side by side."""
    took = found["latency_ms"]
    return [
        {"name": "verdict of a held call, median", "unit": "ms", "promised_max": P50_MS_MAX,
         "measured": took["verdict"]["p50"]},
        {"name": "verdict of a held call, 99th percentile", "unit": "ms",
         "promised_max": P99_MS_MAX, "measured": took["verdict"]["p99"]},
        {"name": f"the same, {WIDTH} at once, 99th percentile", "unit": "ms",
         "promised_max": P99_MANY_MS_MAX, "measured": took[MANY]["p99"]},
        {"name": "refusal without state, 99th percentile", "unit": "ms",
         "promised_max": P99_DENIED_MS_MAX, "measured": took["denied"]["p99"]},
    ]  # fmt: skip


def table(found: Json) -> str:
    """The report for people."""
    machine, late = found["machine"], found["background_late_ms"]
    lines = []
    for name, took in (("all", found["latency_ms"]), *found["latency_ms_by_merges"].items()):
        head = name if name == "all" else f"merges {name}"
        lines += [
            f"{head:<16}{kind:<12}{one['p50']:>8} / {one['p99']} / {one['max']} ms "
            f"(p50, p99, max of {one['n']})"
            for kind, one in took.items()
        ]
    lines.append(f"bare hops       {times(found['bare_ms'], found['latency_ms']['verdict'])}")
    for kind, hops in found["hops_ms"].items():
        lines += [
            f"{kind:<16}{hop:<18}{one['p50']:>8} / {one['p99']} / {one['max']} ms"
            for hop, one in hops.items()
        ]
    for name, facts in found["merges"].items():
        lines.append(
            f"merges {name:<9}{facts['merged']} forced, in {facts['seconds']} s; "
            f"{facts['parts']} parts at the end"
        )
    lines += [
        f"background      {found['background_eps']} events/s "
        f"(late by {late['p50']} / {late['p99']} / {late['max']} ms)",
        f"waited          {machine['waited_ms_per_s']} ms a second for a core",
        f"used            {machine['cpu_ms_per_s']} ms a second of a core",
        f"machine         {machine['cpu']}, load {machine['load_before'][0]} to "
        f"{machine['load_after'][0]}, {machine['seconds']} s",
    ]
    return "\n".join(lines + [f"PROBLEM     {problem}" for problem in found["problems"]])


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1: no measurement; 2: a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument(
        "--calls", type=int, default=CALLS, help="of each kind, with and without merges"
    )
    parser.add_argument("--rate", type=float, default=RATE, help="events a second of the rest")
    parser.add_argument("--agents", type=int, default=AGENTS, help="processes of the rest")
    parser.add_argument("--workers", type=int, default=0, help="default: by cores")
    options = parser.parse_args(arguments)
    try:
        with Stage(options.workers) as stage:
            found = Preflights(stage, options).run()
    except Invalid as error:
        sys.stderr.write(f"no measurement: {error}\n")
        return 1
    report: Json = {"benchmark": "preflight", "at": now_us()} | found | {"figures": figures(found)}
    sys.stdout.write(table(report) + "\n")
    if options.report:
        options.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if report["problems"]:
        return 1
    return exit_code(report["figures"])


if __name__ == "__main__":
    sys.exit(main())
