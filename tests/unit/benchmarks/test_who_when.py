"""The harness for candidates: a folder of transcripts goes in, shares of runs come out."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.detection import who_when
from tests.benchmarks.detection.who_when import measure, most_frequent, named, pairs, read
from tests.benchmarks.detection.who_when_text import Kind, Said, pieces

ASK = "Please open the list of schools and note the opening hours of each one"


def transcript(*entries: tuple[str, Kind, str]) -> list[Said]:
    return [Said(number, *entry) for number, entry in enumerate(entries)]


def found(*entries: tuple[str, Kind, str]) -> list[tuple[str, str]]:
    return [(piece.step_id, piece.detector) for piece in pieces(transcript(*entries))]


def run(folder: Path, name: str, **more: Any) -> Path:
    """One file of the layout: a planner asks, a worker acts and fails, a writer states a number."""
    said = [
        {"role": "human", "content": "How high is the tower?"},
        {"role": "planner (thought)", "content": "I need a worker."},
        {"role": "planner (-> worker)", "content": "Measure the tower, please, now."},
        {"role": "worker", "content": "```measure()```"},
        {"role": "shell", "content": "exitcode: 1 (execution failed)"},
        {"role": "writer", "content": "It is 324 metres high."},
    ]
    told = {
        "history": said, "mistake_agent": "worker", "mistake_step": "3",
        "system_prompt": {"worker": "", "writer": "", "planner": ""},
    } | more  # fmt: skip
    path = folder / f"{name}.json"
    path.write_text(json.dumps(told))
    return path


def test_a_result_that_failed_is_its_askers() -> None:
    """The tool is no agent; who called it has the evidence. A result that went well is none."""
    act: tuple[str, Kind, str] = ("worker", "act", "```run()```")

    assert found(act, ("shell", "result", "Traceback: no such file")) == [("0", "failed")]
    assert found(act, ("shell", "result", "fine")) == []


def test_a_number_from_nowhere_is_unsupported() -> None:
    """Stated by an agent outside code, known from nothing before it, without the page it was read on."""
    task: tuple[str, Kind, str] = ("human", "task", "How much is 12 and 30?")

    assert found(task, ("worker", "act", "It is 4200.")) == [("1", "unsupported")]
    assert found(task, ("worker", "act", "Of 12 and 30.")) == []
    assert found(task, ("tool", "result", "4,200"), ("worker", "act", "It is 4200.")) == []
    assert found(task, ("worker", "act", "At https://a.example it says 4200.")) == []


def test_to_be_asked_again_is_evidence() -> None:
    """What lay between two like requests did not help; a new request blames nobody."""
    first = Said(0, "planner", "ask", ASK, "worker")
    between = Said(1, "worker", "act", "Opened the page.")
    again = Said(2, "planner", "ask", f"{ASK}, please", "worker")
    other = Said(2, "planner", "ask", "Now write a short summary for all of us", "worker")

    assert [piece.step_id for piece in pieces([first, between, again])] == ["1"]
    assert pieces([first, between, other]) == []


def test_a_folder_is_scored(tmp_path: Path) -> None:
    """Layout, roles and truth are read; ours finds the worker's step, the most frequent agent does not."""
    case = read(run(tmp_path, "one"))

    assert [said.kind for said in case.transcript] == [
        "task", "thought", "ask", "act", "result", "act",
    ]  # fmt: skip
    assert named(case.transcript) == ("worker", 3)
    assert most_frequent(case.transcript)[0] == "planner"
    assert measure([case])["tracefuse"] == {"agent": 1.0, "step": 1.0, "within_one": 1.0}
    assert measure([case])["most frequent agent"]["agent"] == 0.0
    assert pairs([case])["most frequent agent"]["agent"] == (1, 0)


def test_the_truth_is_not_read_first(tmp_path: Path) -> None:
    """Another truth in the file changes the score and not the candidate."""
    case = read(run(tmp_path, "one", mistake_agent="writer", mistake_step="5"))

    assert named(case.transcript) == ("worker", 3)
    assert measure([case])["tracefuse"]["agent"] == 0.0


def test_a_guess_by_position_leaves_its_own_run_out(tmp_path: Path) -> None:
    """Two runs, one guilty at the start and one late: each is guessed by the other."""
    early = read(run(tmp_path, "early", mistake_step="0"))
    late = read(run(tmp_path, "late", mistake_step="5"))

    assert measure([early, late])["mean position"]["within_one"] == 0.0
    assert measure([late, late])["mean position"]["step"] == 1.0


def test_the_command_says_what_it_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 below the promise, 0 above it; the guesses and the standard error stand beside."""
    run(tmp_path, "one")
    report = tmp_path / "out" / "report"
    report.parent.mkdir()

    assert who_when.main(["--data", str(tmp_path), "--report", str(report)]) == 0
    assert {"mean position", "most frequent agent"} <= json.loads(report.read_text())[
        "shares"
    ].keys()
    assert "standard error" in capsys.readouterr().out
    run(tmp_path, "one", mistake_agent="writer", mistake_step="0")
    assert who_when.main(["--data", str(tmp_path)]) == 2
