"""The whole pipeline at a given rate: events a second, seconds until a row, CPU per event of each process.

    python -m tests.benchmarks.pipeline --report FILE

Agents' SDKs in processes of their own send on a fixed schedule into an embedded stack with all detectors
on. Exit code 1 when the run was no measurement (events lost, a process died), 2 when a promise was not
kept. `--bulk` sends from one producer instead; its figures are labelled so and judged by nobody.
"""

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.client import Client

from dashboards import clickhouse
from dashboards.cpu import by_kind
from dashboards.demo_facts import quantiles
from dashboards.scrape import names, scrape
from ingest.metrics import LAG, PROCESSED
from ingest.topics import EVENTS, INBOX, PARTITIONS
from tests import load
from tests.benchmarks import cpu
from tests.benchmarks.agents import roles
from tests.benchmarks.bulk import agent_files, names_of
from tests.benchmarks.lag import Prober, visible
from tests.benchmarks.pipeline_report import figures, per_event, problems, table
from tests.benchmarks.promises import Json, exit_code, plain
from tests.benchmarks.stage import SIMULATOR_NICE, TENANT, Crewmen, Invalid, Stage
from tracefuse.clock import monotonic, now_us

RATE = 5_000.0
AGENTS = 32
DURATION_S = 120.0
PROBE_S = 0.5  # a lag is known as exactly as this; a tighter look would cost the store more
PROBES_AGAIN = 30
NULL_S = 5.0  # two hundred bursts of each agent: what making events costs without an SDK
SETTLE_S = 60.0
LAG_TOLD_S = 2.5  # the sink tells its own lag every 2 s
END_S = 60.0

_FACTS = """
SELECT count(), uniqExact(event_id), uniqExact(_partition, _offset), avg(length(raw)),
    toUnixTimestamp64Micro(min(emitted_at)), toUnixTimestamp64Micro(max(emitted_at))
FROM events WHERE tenant = {tenant:String}
"""
_COUNTS = {
    "steps": "SELECT count() FROM steps WHERE tenant = {tenant:String}",
    "dead_letters": "SELECT count() FROM dead_letters",
    "commands": "SELECT count() FROM control_log WHERE record = 'command'",
}
_SIGNALS = "SELECT detector, count() FROM signals GROUP BY detector ORDER BY detector"
_ROWS = "SELECT count() FROM events WHERE tenant = {tenant:String}"


class Pipeline:
    """One run on a stage.

    Parameters
    ----------
    options
        Of the command line.
    """

    def __init__(self, stage: Stage, options: argparse.Namespace):
        self._stage, self._options = stage, options
        self._tenant = load.TENANT if options.bulk else TENANT

    def run(self) -> Json:
        """Everything measured. Raises `Invalid` when the agents did not even start or end."""
        loop_us = 0.0 if self._options.bulk else self._null()
        crew = self._crew()
        with clickhouse.client(self._stage.settings) as client:
            prober = Prober(client, self._tenant)
            pids = self._stage.pids
            begin = crew.go()
            time.sleep(max(0.0, begin - monotonic()))
            before, machine, began = by_kind(pids), cpu.Machine.now(), monotonic()
            load_before, waited = cpu.load(), cpu.waited_ms(pids)
            behind = self._watch(crew, prober, begin)
            settled = self._settle(crew, prober, client)
            used = {kind: us - before[kind] for kind, us in by_kind(pids).items()}
            who = "producer" if self._options.bulk else "agents"
            used[who] = sum(one.cpu_s for one in crew.exits.values()) * 1e6
            shares = cpu.shares(machine, cpu.Machine.now(), sum(used.values()) / 1e6)
            seconds = monotonic() - began
            probe_us = self._probe_cost(prober)
            waits = cpu.a_second(waited, cpu.waited_ms(pids), seconds)
            found = self._facts(client, prober, crew)
        probes = probe_us * found["probes"]["n"] / max(crew.sent, 1)
        found["probes"]["store_us_per_event"] = round(probes, 1)
        found["cpu_us_per_event"] = per_event(used, found["events"]["sent"], loop_us)
        time.sleep(LAG_TOLD_S)
        found["lag_records"] = {"at_last_emit": behind, "settled": self._behind()}
        found["machine"] = {
            "cores": 2, "load_before": load_before, "load_after": cpu.load(), "cpu": shares,
            "waited_ms_per_s": waits, "seconds": round(seconds, 1), "python": platform.python_version(),
        }  # fmt: skip
        found["problems"] = [*crew.problems(), *self._stage.dead(), *problems(found, settled)]
        return found

    def _null(self) -> float:
        """CPU of the agents' own loop, µs an event."""
        count = self._options.agents
        folder = self._stage.prepare("null", [])
        crew = self._agents(folder, min(NULL_S, self._options.duration), "--null")
        crew.go()
        crew.wait(NULL_S + END_S)
        if len(crew.exits) < count or not crew.sent:
            raise Invalid(f"the run without an SDK failed: {crew.said()}")
        return sum(one.cpu_s for one in crew.exits.values()) * 1e6 / crew.sent

    def _crew(self) -> Crewmen:
        options = self._options
        if not options.bulk:
            folder = self._stage.prepare("fleet", roles(options.agents))
            return self._agents(folder, options.duration)
        folder = self._stage.prepare("bulk", [])
        self._stage.register(agent_files(options.agents))
        keys = str(self._stage.settings.keys_folder)
        return self._stage.crew(
            "bulk", folder, names_of(), SIMULATOR_NICE, "--keys", keys,
            "--agents", str(options.agents), "--rate", str(options.rate),
            "--duration", str(options.duration),
        )  # fmt: skip

    def _agents(self, folder: Path, duration: float, *more: str) -> Crewmen:
        options = self._options
        who = [role.agent for role in roles(options.agents)]
        return self._stage.crew(
            "agents", folder, who, SIMULATOR_NICE, "--agents", str(options.agents),
            "--rate", str(options.rate), "--duration", str(duration), *more,
        )  # fmt: skip

    def _watch(self, crew: Crewmen, prober: Prober, begin: float) -> dict[str, int]:
        """Probe until the load ends; returns how far everybody was behind then, in records."""
        end = begin + self._options.duration
        while (now := monotonic()) < end:
            prober.look()
            if crew.process.poll() is not None:
                break
            time.sleep(max(0.0, min(now + PROBE_S, end) - monotonic()))
        return self._behind()

    def _settle(self, crew: Crewmen, prober: Prober, client: Client) -> bool:
        """Probe until everything that was sent is stored; false when it never was."""
        ended_at = monotonic()
        while True:
            prober.look()
            if crew.process.poll() is None:
                ended_at = monotonic()
            else:
                crew.look()
                rows = client.query(_ROWS, parameters={"tenant": self._tenant}).result_rows[0][0]
                if rows >= crew.sent:
                    prober.look()
                    return True
                if monotonic() - ended_at > SETTLE_S:
                    return False
            time.sleep(PROBE_S / 2)

    def _facts(self, client: Client, prober: Prober, crew: Crewmen) -> Json:
        parameters = {"tenant": self._tenant}
        rows, unique, records, size, first, last = client.query(
            _FACTS, parameters=parameters
        ).result_rows[0]
        counts = {
            name: client.query(sql, parameters=parameters).result_rows[0][0]
            for name, sql in _COUNTS.items()
        }
        signals: dict[str, int] = dict(client.query(_SIGNALS).result_rows)  # type: ignore[arg-type]
        seconds = max((last - first) / 1e6, 1e-6)
        shown = list(visible(prober.seen, prober.places()))
        return {
            "events": {
                "sent": crew.sent, "stored": rows, "lost": crew.sent - unique,
                "duplicates": rows - unique, "dead_lettered": counts["dead_letters"],
                "bytes_mean": round(size, 1), "per_record_mean": round(rows / max(records, 1), 2),
                "records": records,
            },
            "sent_eps": round(crew.sent / seconds, 1),
            "steps_per_s": round(counts["steps"] / seconds, 1),
            "commands": counts["commands"],
            "signals": signals,
            "runs": sum(one.runs for one in crew.exits.values()),
            "refused": sum(one.refused for one in crew.exits.values()),
            "lag_s": plain(quantiles((at - emitted) / 1e6 for emitted, at in shown)),
            "newest_row_age_s": plain(quantiles(_ages(prober, last))),
            "last_emit_to_all_stored_s": round((max((at for _, at in shown), default=last) - last) / 1e6, 3),
            "probes": {
                "n": len(prober.seen), "every_s": PROBE_S,
                "query_ms": plain(quantiles(prober.took_ms)),
            },
            "late_ms": plain(quantiles(crew.late_ms())),
        }  # fmt: skip

    def _probe_cost(self, prober: Prober) -> float:
        """CPU of the store for one probe, µs; asked again now that nothing else is asked of it."""
        pids = {"store": self._stage.pids["store"]}
        before, count = by_kind(pids), len(prober.seen)
        for _ in range(PROBES_AGAIN):
            prober.look()
        del prober.seen[count:], prober.took_ms[count:]
        return (by_kind(pids)["store"] - before["store"]) / PROBES_AGAIN

    def _behind(self) -> dict[str, int]:
        """Records that join, detect and the sink have not applied yet."""
        ends = asyncio.run(_ends(self._stage.settings.bootstrap))
        applied = {EVENTS: 0.0, INBOX: 0.0}
        sink = 0.0
        for name, process in self._stage.processes.items():
            if not process.metrics_port:
                continue
            samples = scrape(process.metrics_port) or {}
            if name.startswith("worker"):
                for labels, value in samples.get(names(PROCESSED)[0], {}).items():
                    applied[dict(labels)["topic"]] += value
            elif name == "sink":
                sink = sum(samples.get(names(LAG)[0], {}).values())
        return {
            "join": max(0, int(ends[EVENTS] - applied[EVENTS])),
            "detect": max(0, int(ends[INBOX] - applied[INBOX])),
            "sink": int(sink),
        }


async def _ends(bootstrap: str) -> dict[str, int]:
    """Records of each topic so far; the log begins at 0."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        found = await consumer.end_offsets(
            [TopicPartition(t, n) for t in (EVENTS, INBOX) for n in range(PARTITIONS)]
        )
    finally:
        await consumer.stop()
    return {
        topic: sum(end for tp, end in found.items() if tp.topic == topic)
        for topic in (EVENTS, INBOX)
    }


def _ages(prober: Prober, last_us: int) -> Iterator[float]:
    """Age of the newest row at each probe of the load, s."""
    for seen in prober.seen:
        if seen.newest_us and seen.at_us <= last_us:
            yield (seen.at_us - seen.newest_us) / 1e6


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1: no measurement; 2: a promise was not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--duration", type=float, default=DURATION_S, help="seconds")
    parser.add_argument("--rate", type=float, default=RATE, help="events a second")
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--workers", type=int, default=0, help="default: by cores")
    parser.add_argument("--bulk", action="store_true", help="one producer instead of SDKs")
    options = parser.parse_args(arguments)
    try:
        with Stage(options.workers) as stage:
            found = Pipeline(stage, options).run()
    except Invalid as error:
        sys.stderr.write(f"no measurement: {error}\n")
        return 1
    one = "one bulk producer" if options.bulk else f"{options.agents} SDK processes"
    found = {"benchmark": "pipeline", "at": now_us(), "source": one, "rate": options.rate} | found
    found["figures"] = [] if options.bulk else figures(found)
    sys.stdout.write(table(found) + "\n")
    if options.report:
        options.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if found["problems"]:
        return 1
    return exit_code(found["figures"])


if __name__ == "__main__":
    sys.exit(main())
