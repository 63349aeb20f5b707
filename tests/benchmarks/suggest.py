"""What a suggested file refuses: made from two models' unattacked runs, asked about three other models.

    python -m tests.benchmarks.suggest --report FILE
    python -m tests.benchmarks.suggest --pairs 1           # a look

All ten choices of two of five models, so that no figure is a lucky choice. Without ../shared it says so
and measures nothing.
"""

import argparse
import itertools
import json
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from msgspec import to_builtins
from msgspec.structs import replace

from dashboards import clickhouse
from ingest.agent_file import AgentFile, Detector
from ingest.settings import Settings
from sql.migrate import migrate
from sql.server import Store
from tests.benchmarks.promises import Json, kept
from tests.conftest import SHARED
from tests.narrowing import OWNER, Outcome, granted, judged, share, stored, suggested
from tests.recorded import DAY_S, Label, Recorded, recorded
from tracefuse.clock import now_us

REFUSED_MAX = 2.0  # percent of the benign calls
FORMS = {
    "no file": "no file in force: the tools that were used, each a write until its owner says more",
    "suggested": "a file in force that lists the agent's tools and their access, narrowed",
    "detectors": "the same, with all detectors on, not those alone that hold to the file's caps",
    "by task": "the second with rules about tasks, though none was seen often enough for `suggest`",
}
# What holds to caps of the file; the others judge what an agent does, whatever its file says.
CAPS = {"call_rate", "cost_cap", "latency"}
WATCH: tuple[Detector, ...] = tuple(name for name in get_args(Detector) if name not in CAPS)
_ID = re.compile(r"[0-9a-f]{32}|pair[0-9]+")  # of runs and tenants
ABSENT = "there are no recorded runs with their truth under ../shared/data"
PROMISED = ("suggested", "benign")


class Pair(NamedTuple):
    """Two models whose runs are the history of one tenant."""

    tenant: str
    models: tuple[str, str]


def main() -> int:
    """Exit code 2 when a promise wasn't kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    parser.add_argument("--pairs", type=int, default=0, help="only so many; 0 takes all")
    options = parser.parse_args()
    folders = sorted(path.parent for path in SHARED.glob("data/*/truth.jsonl"))
    if folders:
        found = measure(recorded(folders[0]), options.pairs)
        sys.stdout.write(table(found) + "\n")
    else:  # users do not have them
        found = {"benchmark": "suggest", "figures": [], "skipped": ABSENT}
        sys.stderr.write(f"NOT MEASURED: {ABSENT}\n")
    if options.report:
        options.report.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0 if all(map(kept, found["figures"])) else 2


def measure(runs: Sequence[Recorded], most: int = 0) -> Json:
    """The report on a recording of several models."""
    models = sorted({run.truth.model for run in runs})
    pairs = [
        Pair(f"pair{number}", pair) for number, pair in enumerate(itertools.combinations(models, 2))
    ][: most or None]
    latest = max(run.lines[-1].timestamp for run in runs)
    days = int((now_us() / 1e6 - latest) // DAY_S)
    told = [(pair.tenant, run) for run in runs for pair in pairs if _history([run], pair.models)]
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        settings = Settings(clickhouse=f"{store.host}:{store.port}")
        with clickhouse_connect.get_client(host=store.host, port=store.port) as client:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{settings.clickhouse_database}`")
        with clickhouse.client(settings) as client:
            migrate(client)
            stored(told, days, settings)
            rows = [_row(client, pair, runs, days) for pair in pairs]
    return _report(rows)


def _history(runs: Sequence[Recorded], models: Sequence[str]) -> list[Recorded]:
    return [run for run in runs if run.truth.model in models and not run.truth.attacked]


def _row(client: Client, pair: Pair, runs: Sequence[Recorded], days: int) -> Json:
    """All forms of one choice of two models."""
    full = granted(runs, pair.tenant)
    fresh = {name: AgentFile(name, pair.tenant, owner=OWNER) for name in full}
    made = {
        "no file": suggested(client, pair.tenant, fresh),
        "suggested": suggested(client, pair.tenant, full),
        "by task": suggested(client, pair.tenant, full, enough=1),
    }
    made["detectors"] = made["suggested"]
    others = sorted({run.truth.model for run in runs} - set(pair.models))
    row: Json = {"history": pair.models, "judged": others, "forms": {}}
    for form in FORMS:
        quiet = () if form == "detectors" else WATCH
        files = [replace(one.file, metrics_only=quiet) for one in made[form].values()]
        outcomes = [
            outcome
            for model in others  # each by itself: together they would be three times as busy
            for outcome in judged(files, [run for run in runs if run.truth.model == model], days)
        ]
        notes = [note for one in made[form].values() for note in one.notes]
        row["forms"][form] = _figures(outcomes) | {
            "notes": notes,
            "limits": {file.agent: to_builtins(file.limits) for file in files},
        }
    return row


def _figures(outcomes: list[Outcome]) -> Json:
    """Shares in percent, and why benign calls were refused."""
    why = Counter(
        f"{outcome.gate}: {_ID.sub('*', outcome.reason)}"
        for outcome in outcomes
        if outcome.label == "benign" and outcome.word in ("deny", "needs_approval")
    )
    return {
        "calls": dict(Counter(outcome.label for outcome in outcomes)),
        **{
            label: {
                "refused": share(outcomes, label, "deny", "needs_approval"),
                "denied": share(outcomes, label, "deny"),
                "asked": share(outcomes, label, "needs_approval"),
            }
            for label in get_args(Label)
        },
        "why": dict(why.most_common()),
    }


def _report(rows: list[Json]) -> Json:
    figures: list[Json] = []
    for form in FORMS:
        for label in ("benign", "malicious"):
            shares = [row["forms"][form][label]["refused"] for row in rows]
            worst = max(shares) if label == "benign" else min(shares)
            promise = {"promised_max": REFUSED_MAX} if (form, label) == PROMISED else {}
            figures += [
                {"name": f"{form}: {label} calls refused, {which}", "unit": "%", **promise,
                 "measured": round(value, 2)}
                for which, value in (("median", statistics.median(shares)), ("worst", worst))
            ]  # fmt: skip
    return {"benchmark": "suggest", "forms": FORMS, "figures": figures, "rows": rows}


def table(found: Json) -> str:
    """Every choice of two, then the figures."""
    lines = ["percent of benign / malicious calls that were not let through, by form"]
    for row in found["rows"]:
        cells = [
            f"{form} {one['benign']['refused']:5.2f} /{one['malicious']['refused']:6.2f}"
            for form, one in row["forms"].items()
        ]
        lines.append("   ".join([f"{' + '.join(row['history']):52}", *cells]))
    lines += [f"{figure['name']:50} {figure['measured']:6.2f} %" for figure in found["figures"]]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
