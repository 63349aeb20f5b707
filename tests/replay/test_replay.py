"""What was decided under kills and rebalances is decided again from the log, byte for byte."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from ingest.keys import Keys
from ingest.settings import Settings
from stream.replay import replay
from tests.workers import CORRELATE, Processes, pour, verified

pytestmark = pytest.mark.kafka

# Seconds between two kills: before a start is over, and after it.
OFTEN, SELDOM = (1.2, 3.0), (6.0, 8.0)


async def kill_often(
    processes: Processes, kills: int, rng: random.Random, pause: tuple[float, float]
) -> None:
    """Kill -9 at random moments; the killed one comes back as itself, as a supervisor would do it."""
    for _ in range(kills):
        await asyncio.sleep(rng.uniform(*pause))
        # Where there is time to start in between, each kill is to hit a worker at work.
        names = [n for n in processes.running if n != "correlate" or pause == OFTEN]
        name = rng.choice(sorted(names))
        module = CORRELATE if name == "correlate" else ()
        processes.kill(name)
        processes.start(name, *module)


def play(
    settings: Settings, keys: Keys, processes: Processes, kills: int, seed: int, rebalance: bool,
    pause: tuple[float, float] = OFTEN,
) -> int:  # fmt: skip
    """Load, kills and, if asked for, a second worker that joins and leaves."""

    async def all_of_it() -> int:
        until = asyncio.Event()
        processes.start("w1")
        processes.start("correlate", *CORRELATE)
        await asyncio.sleep(5.0)
        pouring = asyncio.create_task(pour(settings, keys, seed, until))
        rng = random.Random(seed)
        await asyncio.sleep(3.0)
        if rebalance:
            processes.start("w2")  # the first rebalance
            await asyncio.sleep(6.0)
        await kill_often(processes, kills, rng, pause)
        if rebalance:
            await asyncio.sleep(3.0)
            processes.end("w2")  # the second, when its session has run out
            await asyncio.sleep(16.0)  # longer than its session
        until.set()
        return (await pouring).sent

    return asyncio.run(all_of_it())


def survived(stack: tuple[Settings, Keys], folder: Path, seed: int, rebalance: bool) -> None:
    """Twelve kills, and what the log says of them."""
    settings, keys = stack
    processes = Processes(settings, folder)
    try:
        sent = play(settings, keys, processes, kills=12, seed=seed, rebalance=rebalance)
        time.sleep(3.0)
    finally:
        processes.stop()
    report = asyncio.run(verified(settings, keys))
    print(f"{sent} events sent\n{replay.words(report)}")

    assert report.exit_code == replay.SAME, replay.words(report)
    assert report.compared["step"] > sent / 4
    assert report.compared["command"] > 10
    assert report.compared["signal"] >= report.compared["incident"] > 10
    assert report.repeats.total() > 0, "no kill hit anything: the test proves nothing"


def test_twelve_kills_and_two_rebalances(stack: tuple[Settings, Keys], tmp_path: Path) -> None:
    """Every step, signal, command and incident under faults is what the log says it must be."""
    survived(stack, tmp_path, seed=1, rebalance=True)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 30))
def test_over_many_seeds(stack: tuple[Settings, Keys], tmp_path: Path, seed: int) -> None:
    """The same at other moments, as often as the promise asks for; every other time without rebalances."""
    survived(stack, tmp_path, seed, rebalance=seed % 2 == 0)


@pytest.mark.parametrize("broken", ["wall_clock", "local_timer", "no_src"])
def test_without_the_law_it_fails(
    stack: tuple[Settings, Keys], tmp_path: Path, broken: str
) -> None:
    """Control: with one protection removed, the same comparison finds differences."""
    settings, keys = stack
    processes = Processes(settings, tmp_path, ("tests.replay.broken_worker", broken))
    try:
        # What is applied twice must change a decision: so many repeats that it hardly can't.
        kills = 6 if broken == "no_src" else 0
        play(settings, keys, processes, kills, seed=2, rebalance=False, pause=SELDOM)
        time.sleep(8.0 if broken != "no_src" else 3.0)
    finally:
        processes.stop()
    report = asyncio.run(verified(settings, keys, patience=0.0))

    assert report.exit_code == replay.DIFFERENT, replay.words(report)
    assert report.different["signal"] + report.different["command"] > 0, replay.words(report)


def test_from_a_saved_base(stack: tuple[Settings, Keys], tmp_path: Path) -> None:
    """What came after a saved base is decided again from it, and what came before is not needed."""
    settings, keys = stack
    processes, base = Processes(settings, tmp_path), tmp_path / "base"

    async def halves() -> None:
        processes.start("w1")
        processes.start("correlate", *CORRELATE)
        await asyncio.sleep(5.0)
        for seed in (5, 6):
            until = asyncio.Event()
            pouring = asyncio.create_task(pour(settings, keys, seed, until))
            await asyncio.sleep(6.0)
            until.set()
            await pouring
            await asyncio.sleep(4.0)  # longer than between two checkpoints
            if seed == 5:
                assert await replay.save_base(settings, keys, base) > 0

    try:
        asyncio.run(halves())
    finally:
        processes.stop()
    whole = asyncio.run(verified(settings, keys))
    report = asyncio.run(replay.verify(settings, keys, base))

    assert report.exit_code == replay.SAME, replay.words(report)
    assert 1000 < report.compared["step"] < whole.compared["step"]
    assert report.compared["command"] > 0
