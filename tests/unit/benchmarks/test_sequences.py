"""The benchmark of sequences: what it injects, what it calls a good score, on a recording of its own."""

import json
import random
from pathlib import Path

import pytest

from tests.benchmarks.detection.sequences import (
    INJECTIONS,
    Counts,
    Stide,
    auc,
    measure,
    missed,
    table,
)


@pytest.mark.parametrize("name", sorted(INJECTIONS))
def test_an_injection_changes_the_run_and_keeps_its_calls(name: str) -> None:
    """Each anomaly makes another run of the same calls and more; the run itself stays as it was."""
    calls, rng = ["a", "b", "c"], random.Random(1)
    changed = INJECTIONS[name](calls, rng, ["x", "y"])

    assert changed is not None and changed != calls == ["a", "b", "c"]
    assert set(calls) <= set(changed)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    """Apart is 1, alike is one half, the wrong way round is 0."""

    assert auc([1.0, 2.0], [3.0, 4.0]) == 1.0
    assert auc([1.0, 2.0], [1.0, 2.0]) == 0.5
    assert auc([3.0], [1.0]) == 0.0


def test_the_baselines_see_what_they_are_known_for() -> None:
    """Unseen triples tell an order, counts do not; both tell a new call."""
    learnt = [["a", "b", "c"]] * 3
    stide, counts = Stide(learnt), Counts(learnt)

    assert stide.score(["a", "b", "c"]) == counts.score(["a", "b", "c"]) == 0.0
    assert stide.score(["c", "b", "a"]) > 0.0 == counts.score(["c", "b", "a"])
    assert stide.score(["a", "x"]) > 0.0 < counts.score(["a", "x"])


def test_a_recording_is_scored_and_attacked_runs_are_left_out(tmp_path: Path) -> None:
    """Of 60 runs 50 were not attacked: these are learnt and scored, and a habit makes anomalies plain."""
    lines, truth, rng = [], [], random.Random(2)
    for run in range(60):
        said = {"timestamp": 1.0, "trace_id": f"t{run}", "agent_id": "a", "kind": "operational"}
        tools = [
            "find",
            *rng.choice((["read"], ["read", "list"])),
            rng.choice(["note"] * 19 + ["pay"]),
        ]
        for n, tool in enumerate(tools):
            lines.append(json.dumps({**said, "type": "tool_call", "span_id": f"{n}", "tool": tool}))
        truth.append(json.dumps({"trace_id": f"t{run}", "attacked": run >= 50}))
    events = tmp_path / "events.jsonl"
    events.write_text("\n".join(lines))
    (tmp_path / "truth.jsonl").write_text("\n".join(truth))
    report = measure(events, learnt=25, seeds=2)

    assert report["agents"]["a"]["runs"] == 50
    assert missed(report) == []
    assert "two rare calls" in table(report)
