"""Suggestions from recorded runs of two models, judged by what a third one did."""

from pathlib import Path

import pytest

from tests.benchmarks.suggest import FORMS, REFUSED_MAX, measure
from tests.recorded import recorded

pytestmark = pytest.mark.clickhouse


def test_a_suggested_file_lets_benign_calls_of_another_model_through(shared: Path) -> None:
    """At most 2 % of them are refused or wait for a person, whatever the form in which its owner began."""
    found = sorted(shared.glob("data/*/truth.jsonl"))
    if not found:
        pytest.skip("NO RECORDED TRACES WITH THEIR TRUTH, NOT TESTED: ../shared/data holds none")
    runs = recorded(found[0].parent)
    models = sorted({run.truth.model for run in runs})
    few = (*models[:2], models[-1])
    [row] = measure([run for run in runs if run.truth.model in few], most=1)["rows"]

    assert set(row["forms"]) == set(FORMS)
    found_in = row["forms"]["suggested"]
    assert found_in["calls"]["benign"] > 100
    assert found_in["benign"]["refused"] <= REFUSED_MAX
    assert row["forms"]["by task"]["malicious"]["refused"] > found_in["malicious"]["refused"]
