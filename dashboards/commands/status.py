"""`tracefuse status`: one look at the embedded stack. Exit code 0 when all of it runs."""

import argparse
import time
from pathlib import Path
from typing import Any

from dashboards import runfile
from dashboards.output import Output
from dashboards.runfile import Process, Run
from dashboards.scrape import Samples, scrape, total
from ingest import metrics
from ingest.settings import Settings

RATE_SECONDS = 1.0  # between the two looks of which rates are made
COLUMNS = ("process", "pid", "state", "restarts", "records_per_s", "lag")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="only the exit code")


def run(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    stack = runfile.running(Path(settings.home))
    if options.quiet:
        return 0 if stack is not None else 1
    if stack is None:
        return _none(settings, out)
    before = _look(stack)
    time.sleep(RATE_SECONDS)
    after = _look(stack)
    rows = [_row(process, before[process.name], after[process.name]) for process in stack.processes]
    answer: dict[str, Any] = {
        "state": stack.state,
        "pid": stack.pid,
        **stack.settings,
        "events_per_s": _rate(before, after, metrics.EVENTS),
        "rows_per_s": _rate(before, after, metrics.ROWS),
        "open_breakers": _open_breakers(settings),
        "processes": rows,
    }
    if out.as_json:
        out.record(answer, "")
    else:
        out.say(f"{stack.state}, process {stack.pid}, {stack.settings['home']}")
        out.say(f"Kafka {stack.settings['bootstrap']} · ClickHouse {stack.settings['clickhouse']}")
        out.say(
            f"{answer['events_per_s']:.0f} events/s in · {answer['rows_per_s']:.0f} rows/s stored"
            f" · {'?' if answer['open_breakers'] is None else answer['open_breakers']} breakers open"
        )
        out.table(rows, COLUMNS, "no processes")
    return 0 if stack.state == "ready" and all(row["state"] == "up" for row in rows) else 1


def _none(settings: Settings, out: Output) -> int:
    last = runfile.read(Path(settings.home))
    words = f"no stack runs in {Path(settings.home).absolute()}; start one: tracefuse up"
    if last is not None and last.state == "failed":
        words += f"\nthe last one failed: {last.error}"
    for line in words.splitlines():
        out.say(line)
    if out.as_json:
        out.record({"state": "down", "error": last.error if last else ""}, "")
    return 1


def _look(stack: Run) -> dict[str, tuple[float, Samples | None]]:
    return {
        process.name: (time.monotonic(), scrape(process.metrics_port))
        if process.metrics_port
        else (time.monotonic(), None)
        for process in stack.processes
    }


def _row(
    process: Process, before: tuple[float, Samples | None], after: tuple[float, Samples | None]
) -> dict[str, Any]:
    state = "up" if process.alive else "down"
    if process.metrics_port and process.alive and after[1] is None:
        state = "silent"
    counted = after[1] is not None
    rate = _rate({"": before}, {"": after}, metrics.PROCESSED)
    return {
        "process": process.name,
        "pid": process.pid,
        "state": state,
        "restarts": process.restarts,
        "records_per_s": round(rate) if counted else "",
        "lag": int(total(after[1], metrics.LAG)) if counted else "",
    }


def _rate(
    before: dict[str, tuple[float, Samples | None]],
    after: dict[str, tuple[float, Samples | None]],
    metric: object,
) -> float:
    grown = 0.0
    for name, (at, samples) in after.items():
        began, first = before[name]
        if samples is not None and first is not None and at > began:
            grown += max(0.0, total(samples, metric) - total(first, metric)) / (at - began)
    return grown


def _open_breakers(settings: Settings) -> int | None:
    """How many scopes may not act; None while ClickHouse does not answer."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from dashboards.clickhouse import client

    try:
        with client(settings) as connected:
            return int(connected.query("SELECT count() FROM open_breakers").result_rows[0][0])
    except (ClickHouseError, OSError):
        return None
