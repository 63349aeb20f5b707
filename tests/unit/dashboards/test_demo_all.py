"""What `tracefuse demo --all` plays: each scenario once, and what takes minutes beside the others."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dashboards import demo
from dashboards.demo_report import Counts, Report
from ingest.keys import Keys
from ingest.settings import Settings
from ingest.simulate.roles import Role
from ingest.simulate.scenarios import LASTING, SCENARIOS

KEYS = Keys(b"m" * 32, b"a" * 32, b"h" * 32, b"r" * 32)
PATIENCE_S = 60.0


class Stage:
    """Stands in for the fleets and their stack: notes who plays, and for how long."""

    played: list[tuple[set[str], float]]
    others: Event  # set when the last of the others has played
    breaks: bool

    def __init__(self, settings: Settings, keys: Keys, roles: list[Role], name: str = ""):
        self.scenarios = {role.scenario for role in roles} - {""}
        self.over = Event()

    def end(self) -> None:
        self.over.set()

    def play(self, duration: float, rate: float) -> Report:
        if self.scenarios == set(LASTING):
            assert (self.over if Stage.breaks else Stage.others).wait(PATIENCE_S)
        elif Stage.breaks:
            raise KeyboardInterrupt
        Stage.played.append((self.scenarios, duration))
        if len(set().union(*(names for names, _ in Stage.played)) | set(LASTING)) == len(SCENARIOS):
            Stage.others.set()
        counts = Counts(1, 1, 0, 0, 0, 1.0)
        return Report(duration, "demo", 2, counts, 1.0, 0, 0, 0, {}, {}, [], [])


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> None:
    Stage.played, Stage.others, Stage.breaks = [], Event(), False
    monkeypatch.setattr(demo, "Demo", Stage)
    monkeypatch.setattr(demo, "summary", lambda made: [])


def run(folder: Path, **more: Any) -> int:
    return demo.run_demo(Settings(home=str(folder)), KEYS, 20.0, 300.0, None, **more)


def test_every_scenario_plays_once_and_the_long_one_meanwhile(tmp_path: Path) -> None:
    """Whoever takes minutes ends when all others have played; at no time more than eight histories."""
    assert run(tmp_path, everything=True) == 0
    names = [name for scenarios, _ in Stage.played for name in scenarios]

    assert sorted(names) == sorted(SCENARIOS)
    assert Stage.played[-1] == (
        set(LASTING), max(SCENARIOS[name].lasts_s for name in LASTING),
    )  # fmt: skip
    assert all(len(scenarios) <= demo.HISTORIES_MAX for scenarios, _ in Stage.played[1:])


def test_who_interrupts_waits_for_nobody(tmp_path: Path) -> None:
    """The long one is told to end, and the interruption goes on."""
    Stage.breaks = True
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, everything=True)

    assert [scenarios for scenarios, _ in Stage.played] == [set(LASTING)]


def test_without_all_nobody_plays_long(tmp_path: Path) -> None:
    """The demo that `make run` plays keeps to its duration."""
    assert run(tmp_path) == 0
    assert [duration for _, duration in Stage.played] == [20.0]
