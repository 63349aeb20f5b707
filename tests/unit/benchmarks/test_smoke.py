"""Benchmarks of a whole stack run from end to end, small. Whether promises are kept is not judged here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.soak, pytest.mark.kafka, pytest.mark.clickhouse]


def report(name: str, path: Path, *more: str) -> dict[str, Any]:
    """Run a benchmark and read what it wrote."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--report", str(path), *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert path.exists(), done.stderr
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_pipeline_stores_what_agents_send(tmp_path: Path) -> None:
    """A short run is a measurement: each event stored once, all processes alive, each with its cost."""
    found = report(
        "pipeline", tmp_path / "p.json", "--duration", "8", "--rate", "200", "--agents", "4"
    )

    assert found["problems"] == []
    assert found["events"]["bytes_mean"] >= 600
    assert found["lag_s"]["n"] == found["events"]["sent"] > 1_600
    assert all(us >= 0 for us in found["cpu_us_per_event"].values())


def test_loops_are_stopped_and_no_call_follows(tmp_path: Path) -> None:
    """Each looping run ends in a stop whose whole way is known, and no call begins after it."""
    found = report("stop", tmp_path / "s.json", "--trips", "12", "--rate", "100", "--agents", "2")

    assert found["problems"] == []
    assert found["detect_to_stop_ms"]["n"] == 12
    assert found["calls_after_stop"] == 0
    assert all(hop["n"] == 12 for hop in found["hops_ms"].values())


def test_held_calls_get_their_verdicts(tmp_path: Path) -> None:
    """Each call of each kind ends as it should, with and without merges, and its wait is counted."""
    found = report(
        "preflight", tmp_path / "v.json", "--calls", "48", "--rate", "100", "--agents", "2"
    )

    assert found["problems"] == []
    assert {kind: one["n"] for kind, one in found["latency_ms"].items()} == {
        "verdict": 96, "verdict_16": 96, "denied": 96,
    }  # fmt: skip
    assert found["merges"]["stopped"]["merged"] == 0 < found["merges"]["forced"]["merged"]
