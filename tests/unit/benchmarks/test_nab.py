"""The harness for series: a tree goes in, figures come out, and nobody looks ahead."""

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.detection import judging, made_series, nab, nab_tree, plots
from tests.benchmarks.detection.contenders import CONTENDERS, QUIET, Rows, Scored
from tests.conftest import SHARED

ROOT = Path(__file__).parents[3]
SCORER = SHARED / "tools" / "nab_score.py"
scored = pytest.mark.skipif(not SCORER.exists(), reason=f"{SCORER.name} is absent")


def tree(folder: Path) -> Path:
    """Two files of 800 rows: one with two leaps, in windows, one with nothing."""
    (folder / "labels").mkdir()
    rng, labels = np.random.default_rng(7), {}
    for name, leaps in (("a/two.csv", (400, 650)), ("b/none.csv", ())):
        values = rng.normal(size=800)
        for row in leaps:
            values[row : row + 3] += 30
        (folder / "data" / name).parent.mkdir(parents=True)
        with (folder / "data" / name).open("w", newline="") as file:
            write = csv.writer(file).writerow
            write(("timestamp", "value"))
            for i, value in enumerate(values):
                write((f"2026-01-01 {i // 60:02}:{i % 60:02}:00", "" if i == 500 else value))
        labels[name] = [
            [f"2026-01-01 {i // 60:02}:{i % 60:02}:00" for i in (row - 10, row + 40)]
            for row in leaps
        ]
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    return folder


class Spy:
    """Notes what it was given, and alarms on what leaps."""

    fires = False

    def __init__(self) -> None:
        self.seen: list[float] = []

    def update(self, value: float) -> float:
        self.seen.append(value)
        self.fires = value > 20
        return max(value, 0.0) if value == value else 0.0


def test_a_contender_is_fresh_for_each_file_and_sees_row_by_row(tmp_path: Path) -> None:
    """Nothing of one file is known in the next, and a score stands before the next row is given."""
    made: list[Spy] = []

    def make() -> Rows:
        made.append(Spy())
        return made[-1]

    series = nab_tree.series(tree(tmp_path))
    played = nab.play(make, series)

    assert [len(one.seen) for one in made] == [800, 800]
    assert np.isnan(made[0].seen[500])
    assert np.flatnonzero(played.alarms["a/two.csv"]).tolist() == [400, 401, 402, 650, 651, 652]


@scored
def test_alarms_in_windows_count_and_others_cost(tmp_path: Path) -> None:
    """All windows found early without a false alarm is near 100; nothing said is 0."""
    rules = nab_tree.Scorer(SCORER)
    judge = judging.Judge(rules, *rules.truth(tree(tmp_path)))
    found = {"a/two.csv": np.zeros(800), "b/none.csv": np.zeros(800)}
    silent = judge.at(found)
    found["a/two.csv"][[390, 640]] = 1
    early = judge.at(found)
    found["b/none.csv"][[200, 700]] = 1
    found["b/none.csv"][10] = 1  # in the first 15 %: learning, not scored
    loud = judge.at(found)

    assert (silent["standard"], silent["windows_hit"]) == (0.0, 0)
    assert (silent["standard"], early["windows_hit"], early["false_alarms"]) == (0.0, 2, 0)
    assert early["standard"] > 97
    assert (loud["windows_hit"], loud["false_alarms"]) == (2, 2)
    assert loud["standard"] < early["standard"]


@scored
def test_the_best_threshold_is_found(tmp_path: Path) -> None:
    """A score that is right above 5 and misleading below has its best threshold there."""
    rules = nab_tree.Scorer(SCORER)
    judge = judging.Judge(rules, *rules.truth(tree(tmp_path)))
    rng = np.random.default_rng(7)
    scores = {name: 4.9 * rng.random(800) for name in ("a/two.csv", "b/none.csv")}
    scores["a/two.csv"][[392, 642]] = 6.0
    best = judge.best(scores, quiet=100)

    assert best["threshold"] == 6.0
    assert (best["windows_hit"], best["false_alarms"]) == (2, 0)


@scored
def test_the_command_writes_all_that_it_says(tmp_path: Path) -> None:
    """Table, report, page, pictures and rows, on a tree that it has never seen."""
    data = tree(tmp_path)
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.benchmarks.detection", "nab", "--data", str(data),
            "--report", str(tmp_path / "report.json"), "--plots", str(tmp_path / "plots"),
            "--results", str(tmp_path / "results"),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "report.json").read_text())

    assert list(found["contenders"]) == list(CONTENDERS)
    assert found["contenders"][nab.OURS]["default"]["windows_hit"] == 2
    assert (found["files"], found["rows"], found["windows"]) == (2, 1600, 2)
    assert all("promised_min" not in figure for figure in found["figures"])
    assert all(name in done.stdout for name in CONTENDERS)
    assert len(list((tmp_path / "plots").glob("*.png"))) == 2
    assert "a/two.csv" in (tmp_path / "plots" / "index.html").read_text()
    rows = (tmp_path / "results" / nab.OURS / "a" / f"{nab.OURS}_two.csv").read_text().splitlines()
    assert len(rows) == 801


def test_an_absent_tree_is_said_aloud(tmp_path: Path) -> None:
    """Who has no recorded series is told so: no figure, and no promise that seems kept."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.benchmarks.detection.nab", "--data", str(tmp_path / "no"),
            "--report", str(report),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert "NOT MEASURED" in done.stderr
    assert json.loads(report.read_text())["skipped"]
    assert json.loads(report.read_text())["figures"] == []


@pytest.mark.parametrize("name", CONTENDERS)
def test_every_contender_survives_a_series(name: str) -> None:
    """Constant, missing and huge values give finite scores, and a pause lies between alarms."""
    rng, rows = np.random.default_rng(7), CONTENDERS[name]()
    values = [5.0] * 200 + [float("nan")] + rng.normal(size=700).tolist() + [1e12, -1e12, 0.0]
    alarms = []
    for i, value in enumerate(values):
        assert np.isfinite(rows.update(value))
        alarms += [i] if rows.fires else []

    assert all(b - a > QUIET for a, b in itertools.pairwise(alarms))


def test_a_pause_follows_an_alarm() -> None:
    """The others get the pause that ours has."""
    rows = Scored(lambda value: value, threshold=1.0)
    fired = [i for i in range(250) if rows.update(1.0) and rows.fires]

    assert fired == [0, 101, 202]


def test_made_series_have_their_windows(tmp_path: Path) -> None:
    """Every fault lies in a window of its own; the same seed makes the same bytes."""
    made_series.write(tmp_path / "one", seed=3, copies=1)
    made_series.write(tmp_path / "two", seed=3, copies=1)
    labels = json.loads((tmp_path / "one" / "labels" / "combined_windows.json").read_text())

    assert set(nab_tree.series(tmp_path / "one")) == set(labels)
    for number, (name, make) in enumerate(made_series.KINDS.items()):
        made = make(np.random.default_rng((3, 0, number)))
        spans = made_series.windows(made)

        assert all(a <= row <= b for row, (a, b) in zip(made.faults, spans, strict=True))
        assert len(labels[f"made/{name}_0.csv"]) == len(made.faults)
        path = f"data/made/{name}_0.csv"
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_a_picture_shows_windows_and_alarms() -> None:
    """Colours stand where they belong: shade, a hit, a false alarm."""
    window = np.full(1200, -1)
    window[600:700] = 0
    alarms = np.zeros(1200)
    alarms[[100, 650]] = 1
    drawn = plots.picture(np.zeros(1200), np.zeros(1200), alarms, window)

    assert drawn[10, 620].tolist() == [255, 226, 200]
    assert drawn[10, 650].tolist() == [20, 150, 60]
    assert drawn[10, 100].tolist() == [210, 30, 30]
