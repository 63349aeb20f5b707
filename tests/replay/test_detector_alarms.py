"""Labelled, seeded streams: at which index each detector alarms, how late, and how often for nothing.

The indexes are exact: a change that moves one of them changes what agents experience, and belongs
into the changelog.
"""

import gzip
import hashlib
import json
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from detectors import DETECTORS, ExactLoop, step_features
from detectors.run_cost import place

TRACES = Path(__file__).parents[3] / "shared" / "data" / "agentdojo"

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Scenario:
    """A stream that goes bad at a known index."""

    clean: Callable[[random.Random, int], Arguments]
    faulty: Callable[[random.Random, int], Arguments]
    starts: int
    """Index of the first faulty observation."""
    lasts: int
    alarms: tuple[int, ...]
    """Where it alarms under seed 7, counted at the change from not firing to firing."""
    found_min: int
    """Faults found of 20 seeds, at least."""
    delay_max: int
    """Median over 20 seeds of the observations from the fault to its alarm, at most."""
    false_max: int
    """False alarms in 20 clean streams of 2,000 observations, at most."""


def _fetch(rng: random.Random, i: int) -> Arguments:
    """Two tools: a database with three hosts, and a search that goes to ever new ones."""
    if rng.random() < 0.5:
        return ("web.fetch", 3, [rng.getrandbits(31)], i * 60.0)
    return ("db.read", 7, [rng.randrange(3)], i * 60.0)


def _loop(rng: random.Random, i: int) -> Arguments:
    return (("search:4f:e0", "fetch:9a:77")[i % 2],)


def _work(rng: random.Random, i: int) -> Arguments:
    """Ten tools with a hundred arguments each, of which some come again."""
    return (f"tool-{rng.randrange(10)}:{rng.randrange(100)}:{rng.randrange(3)}",)


def _minutes(rng: random.Random, i: int) -> Arguments:
    """Calls a minute with a season of six hours."""
    return (round(60 + 30 * math.sin(i / 57.3) + rng.gauss(0.0, 3.0)),)


def _step(cost: float) -> Callable[[random.Random, int], Arguments]:
    def step(rng: random.Random, i: int) -> Arguments:
        tokens = int(cost * rng.lognormvariate(6.5, 0.6))
        seconds = rng.lognormvariate(0.0, 0.5)
        failed, write = rng.random() < 0.03, rng.random() < 0.15
        return (step_features(seconds, tokens * 3e-6, tokens, failed, write),)

    return step


def _priced(times: float) -> Callable[[random.Random, int], Arguments]:
    """Tokens in and out in ever another proportion, some of them cheaper."""

    def call(rng: random.Random, i: int) -> Arguments:
        tokens = int(rng.lognormvariate(7.0, 0.8)), int(rng.lognormvariate(5.5, 0.8))
        usd = times * (3e-6 * tokens[0] * rng.uniform(0.1, 1.0) + 15e-6 * tokens[1])
        return (usd, *tokens)

    return call


def _run(times: float) -> Callable[[random.Random, int], Arguments]:
    """A finished run of some length, each step dearer than the one before; the cap is two dollars."""

    def run(rng: random.Random, i: int) -> Arguments:
        usd, spent = 0.0, list[float]()
        dear = times * rng.lognormvariate(-6.0, 0.5)
        for step in range(1, 2 + min(int(rng.expovariate(1 / 8)), 60)):
            usd += dear * (1 + 0.1 * step) * rng.lognormvariate(0.0, 0.5)
            spent[place(step) :] = [usd]
        return (spent, True, usd / 2.0)

    return run


def _collision(rng: random.Random, i: int) -> Arguments:
    """One of four agents fails every ten seconds, at one of a hundred things, often by the clock alone."""
    kind = rng.choice(("conflict", "timeout", "timeout"))
    return (f"agent-{rng.randrange(4)}", kind, [rng.randrange(100)], i * 10.0)


def _doubts(less: float) -> Callable[[random.Random, int], Arguments]:
    """Runs of three calls and an end. One in twelve ends badly, most of these a little unsure."""

    def call(rng: random.Random, i: int) -> Arguments:
        bad = i // 4 % 12 == 11
        if i % 4 == 3:
            return (None, None, bad)
        usual = min(rng.gauss(0.88, 0.04), 1.0)
        return (usual - 0.04 * bad - (less if i % 4 == 2 else 0.0),)

    return call


def _turns(rng: random.Random, i: int) -> Arguments:
    """A conversation that begins anew when it has grown to 30 turns."""
    return (int(1000 + 300 * (i % 30) * rng.lognormvariate(0.0, 0.3)),)


def _payment(unchecked: float) -> Callable[[random.Random, int], Arguments]:
    """Runs of four calls and an end: the way differs, the check before the payment hardly ever lacks."""

    def call(rng: random.Random, i: int) -> Arguments:
        check = "note" if rng.random() < unchecked else "check"
        way = ("find", rng.choice(("read", "list")), check, "pay", None)
        return (way[i % 5],)

    return call


def _bad_canary(rng: random.Random, i: int) -> Arguments:
    canary = rng.random() < 0.1
    return (rng.random() < (0.5 if canary else 0.05), canary, 0.1)


def _tools(canary: str) -> Callable[[random.Random, int], Arguments]:
    """Runs of 6 calls, each run with a liking of its own; what the canary does for a read is `canary`."""

    def run(rng: random.Random, i: int) -> Arguments:
        own = rng.random() < 0.1
        likes = [weight * rng.expovariate(1.0) for weight in (5, 3, 2, 1)]
        named = ("read", "find", "list", "note")
        calls = rng.choices(named, likes, k=6)
        calls = [canary if own and one == "read" and rng.random() < 0.3 else one for one in calls]
        return (calls, own, 0.1)

    return run


def _task(mail: int) -> Callable[[random.Random, int], Arguments]:
    """Runs of one to twelve calls of a task; `mail` is how often one of them is a mail."""

    def run(rng: random.Random, i: int) -> Arguments:
        calls = rng.choices(
            ("read", "find", "list", "mail"), (5, 3, 2, mail), k=rng.randrange(1, 13)
        )
        return (
            calls,
            len(calls),
            0.01 * len(calls) * rng.lognormvariate(0.0, 0.3),
            rng.random() < 0.05,
        )

    return run


def _errand(rng: random.Random, i: int) -> Arguments:
    """Runs of seven calls and an end: the same errand in many ways, a refund in one of 150."""
    ways = (
        ("find",), ("read", "list"), ("read", "read", "note"), ("check",), ("read", "list"),
        ("update", "cancel"), ("note", "mail"),
    )  # fmt: skip
    if i % 8 == 7:
        return (None,)
    return ("refund" if rng.random() < 0.001 else rng.choice(ways[i % 8]),)


SCENARIOS = {
    # A call in eleven is a mail, then one in five.
    "task_drift": Scenario(
        _task(1),
        _task(5),
        starts=500,
        lasts=500,
        alarms=(565,),
        found_min=20,
        delay_max=150,
        false_max=0,
    ),
    # A third of the canary's reads are deletes; every run likes some tools more than others.
    "canary_mix": Scenario(
        _tools("read"),
        _tools("delete"),
        starts=300,
        lasts=300,
        alarms=(429,),
        found_min=20,
        delay_max=200,
        false_max=1,
    ),
    # A tool breaks: 2 % of its calls fail, then 70 %; one call every two seconds.
    "error_rate": Scenario(
        lambda rng, i: (rng.random() < 0.02, i * 2.0),
        lambda rng, i: (rng.random() < 0.7, i * 2.0),
        starts=400,
        lasts=60,
        alarms=(411, 420),
        found_min=20,
        delay_max=16,
        false_max=0,
    ),
    # A tool gets worse, far below the rule's half: 2 % to 15 %.
    "error_baseline": Scenario(
        lambda rng, i: (rng.random() < 0.02,),
        lambda rng, i: (rng.random() < 0.15,),
        starts=1500,
        lasts=300,
        alarms=(1601,),
        found_min=20,
        delay_max=40,
        false_max=4,
    ),
    # A tool leaves a field out in one answer of six.
    "malformed_result": Scenario(
        lambda rng, i: (rng.random() < 0.01, "type", "total", "a1"),
        lambda rng, i: (rng.random() < 0.17, "missing", "total", "b2"),
        starts=600,
        lasts=120,
        alarms=(627, 678),
        found_min=20,
        delay_max=32,
        false_max=1,
    ),
    # A tool of twenty kinds of answers, some of them rare, begins to fail in a new way, once in six calls.
    "new_template": Scenario(
        lambda rng, i: (f"kind-{min(int(rng.expovariate(0.35)), 19)}",),
        lambda rng, i: (
            f"kind-{min(int(rng.expovariate(0.35)), 19) if rng.random() > 0.17 else 99}",
        ),
        starts=600,
        lasts=60,
        alarms=(613,),
        found_min=20,
        delay_max=18,
        false_max=4,
    ),
    # An agent calls five times as often as it did, twice its cap.
    "call_rate": Scenario(
        lambda rng, i: (i * 2.0 + rng.random(), 70, 10_000),
        lambda rng, i: (800.0 + (i - 400) * 0.4, 70, 10_000),
        starts=400,
        lasts=200,
        alarms=(453,),
        found_min=20,
        delay_max=53,
        false_max=0,
    ),
    # A tool that reads from three hosts goes to a fourth; one that goes anywhere says nothing.
    "first_time": Scenario(
        _fetch,
        lambda rng, i: ("db.read", 7, [100 + i], i * 60.0),
        starts=1500,
        lasts=3,
        alarms=(1500,),
        found_min=20,
        delay_max=1,
        false_max=4,
    ),
    # A tool declared at 1.5 s slows down six times.
    "latency": Scenario(
        lambda rng, i: (rng.lognormvariate(0.0, 0.3), 1.5),
        lambda rng, i: (6 * rng.lognormvariate(0.0, 0.3), 1.5),
        starts=400,
        lasts=40,
        alarms=(401,),
        found_min=20,
        delay_max=2,
        false_max=0,
    ),
    # The same without a declaration.
    "latency_baseline": Scenario(
        lambda rng, i: (rng.lognormvariate(0.0, 0.3),),
        lambda rng, i: (6 * rng.lognormvariate(0.0, 0.3),),
        starts=600,
        lasts=40,
        alarms=(602,),
        found_min=20,
        delay_max=3,
        false_max=0,
    ),
    # A run that costs a cent a step starts to cost a dollar; its cap is 25 dollars.
    "cost_cap": Scenario(
        lambda rng, i: (0.01 * rng.random(), float(i), 25.0),
        lambda rng, i: (1.0, float(i), 25.0),
        starts=300,
        lasts=40,
        alarms=(323,),
        found_min=20,
        delay_max=23,
        false_max=0,
    ),
    # An agent dies; what still comes is the tick, every half second.
    "silence": Scenario(
        lambda rng, i: (True, i * 1.0 + 0.2 * rng.random()),
        lambda rng, i: (False, 300.0 + (i - 300) * 0.5),
        starts=300,
        lasts=20,
        alarms=(306,),
        found_min=20,
        delay_max=6,
        false_max=0,
    ),
    # Answers with a computed sum now and then; then one with ids that nobody told.
    "unsupported_claim": Scenario(
        lambda rng, i: (int(rng.random() < 0.3), rng.random() < 0.1),
        lambda rng, i: (6, False),
        starts=400,
        lasts=3,
        alarms=(400,),
        found_min=20,
        delay_max=0,
        false_max=1,
    ),
    # A run says that it did what it never did.
    "divergence": Scenario(
        lambda rng, i: ([("arguments", int(rng.random() < 0.05)), ("not_executed", 0)], False),
        lambda rng, i: ([("not_executed", 1)], False),
        starts=400,
        lasts=5,
        alarms=(400,),
        found_min=20,
        delay_max=1,
        false_max=0,
    ),
    # A run falls into a cycle of two calls.
    "exact_loop": Scenario(
        _work,
        _loop,
        starts=40,
        lasts=20,
        alarms=(46,),
        found_min=20,
        delay_max=6,
        false_max=0,
    ),
    # Two agents hand one question to and fro.
    "ping_pong": Scenario(
        lambda rng, i: (rng.randrange(3), rng.randrange(1, 9)),
        lambda rng, i: ((i - 398) // 2, 2),
        starts=400,
        lasts=12,
        alarms=(406,),
        found_min=20,
        delay_max=6,
        false_max=0,
    ),
    # Every fourth call writes, and the plan names it; then one is not named.
    "unplanned_step": Scenario(
        lambda rng, i: (i % 4 != 0 and rng.random() < 0.3, i % 4 == 0),
        lambda rng, i: (True, True),
        starts=400,
        lasts=3,
        alarms=(400,),
        found_min=20,
        delay_max=0,
        false_max=0,
    ),
    # Runs of five calls, now and then two of them for nothing; then one goes round and round.
    "no_progress": Scenario(
        lambda rng, i: (rng.choice((0, 0, 0, 1, 2)), i % 5 == 4),
        lambda rng, i: (i - 399, False),
        starts=400,
        lasts=20,
        alarms=(407,),
        found_min=20,
        delay_max=7,
        false_max=0,
    ),
    # A canary at a tenth of the runs goes wrong in every second of them.
    "canary_rate": Scenario(
        lambda rng, i: (rng.random() < 0.05, rng.random() < 0.1, 0.1),
        _bad_canary,
        starts=400,
        lasts=800,
        alarms=(538,),
        found_min=20,
        delay_max=300,
        false_max=1,
    ),
    # A shadow goes wrong in a fifth of the runs that go well.
    "shadow_pair": Scenario(
        lambda rng, i: (rng.random() < 0.05, rng.random() < 0.05),
        lambda rng, i: (rng.random() < 0.2, rng.random() < 0.05),
        starts=400,
        lasts=600,
        alarms=(555,),
        found_min=19,
        delay_max=200,
        false_max=1,
    ),
    # Failures double, for good.
    "slow_drift": Scenario(
        lambda rng, i: (rng.random() < 0.05,),
        lambda rng, i: (rng.random() < 0.10,),
        starts=800,
        lasts=1500,
        alarms=(1128,),
        found_min=19,
        delay_max=450,
        false_max=2,
    ),
    # Runs cost a hundred times what they did, and pass their cap.
    "run_cost": Scenario(
        _run(1.0),
        _run(100.0),
        starts=600,
        lasts=40,
        alarms=(602,),
        found_min=20,
        delay_max=3,
        false_max=4,
    ),
    # What tools return stays in the context, twenty times a conversation.
    "context_growth": Scenario(
        _turns,
        lambda rng, i: (20 * _turns(rng, i)[0],),
        starts=600,
        lasts=10,
        alarms=(602,),
        found_min=20,
        delay_max=4,
        false_max=0,
    ),
    # An address that a page demanded a week ago comes out of memory.
    "memory_influence": Scenario(
        lambda rng, i: ([("listed", "account")] if rng.random() < 0.3 else [], rng.random() < 0.5),
        lambda rng, i: ([("listed", "email"), ("ordered", "account")], False),
        starts=400,
        lasts=5,
        alarms=(400,),
        found_min=20,
        delay_max=1,
        false_max=0,
    ),
    # A tool server says something new of a tool, in the version that was released long ago.
    "tool_changed": Scenario(
        lambda rng, i: ("a1", ("stable", "canary")[rng.random() < 0.1]),
        lambda rng, i: ("b2", "stable"),
        starts=400,
        lasts=5,
        alarms=(400,),
        found_min=20,
        delay_max=1,
        false_max=0,
    ),
    # A run pays before it has verified.
    "skipped_step": Scenario(
        lambda rng, i: (["verify"], ["find", "verify"][rng.randrange(2) :]),
        lambda rng, i: (["verify"], ["find"]),
        starts=400,
        lasts=5,
        alarms=(400,),
        found_min=20,
        delay_max=1,
        false_max=0,
    ),
    # A run pays without the check that all runs have done; one in 3,000 does so in good health.
    "skipped_habit": Scenario(
        _payment(0.0003),
        _payment(1.0),
        starts=2000,
        lasts=10,
        alarms=(2003,),
        found_min=19,
        delay_max=4,
        false_max=4,
    ),
    # One probe of twenty goes wrong nearly always, where each did so in one of fifty.
    "probe_drift": Scenario(
        lambda rng, i: (f"p{i % 20}", rng.random() < 0.02),
        lambda rng, i: (f"p{i % 20}", rng.random() < (0.9 if i % 20 == 3 else 0.02)),
        starts=400,
        lasts=160,
        alarms=(443, 503),
        found_min=20,
        delay_max=60,
        false_max=1,
    ),
    # Another model answers under the same name, at twice the price.
    "price_mismatch": Scenario(
        _priced(1.0),
        _priced(2.1),
        starts=600,
        lasts=60,
        alarms=(603,),
        found_min=20,
        delay_max=8,
        false_max=0,
    ),
    # Calls double for half an hour.
    "series_novelty": Scenario(
        _minutes,
        lambda rng, i: (2 * _minutes(rng, i)[0],),
        starts=1500,
        lasts=30,
        alarms=(199, 1500),
        found_min=20,
        delay_max=6,
        false_max=40,
    ),
    # A key goes out where mails of customers are all that is declared.
    "leakage": Scenario(
        lambda rng, i: (["email"] if rng.random() < 0.3 else [], ["personal"]),
        lambda rng, i: (["api_key"], ["personal"]),
        starts=400,
        lasts=5,
        alarms=(400,),
        found_min=20,
        delay_max=1,
        false_max=0,
    ),
    # Notes that name a person once in a hundred begin to in one of six.
    "sensitive_rate": Scenario(
        lambda rng, i: (["email"] if rng.random() < 0.01 else [],),
        lambda rng, i: (["email"] if rng.random() < 0.17 else [],),
        starts=600,
        lasts=120,
        alarms=(627, 678),
        found_min=20,
        delay_max=32,
        false_max=1,
    ),
    # Orders of ever new and of forty usual names; then one more name, and each time it comes, a payment.
    "trigger_pair": Scenario(
        lambda rng, i: ([rng.getrandbits(31), rng.randrange(40)], ["note"] if i % 97 else ["pay"]),
        lambda rng, i: ([rng.getrandbits(31), 991], ["pay"]),
        starts=600,
        lasts=12,
        alarms=(606,),
        found_min=20,
        delay_max=8,
        false_max=0,
    ),
    # A tool whose calls collide now and then at ever other things; then three agents fight for one.
    "contention": Scenario(
        _collision,
        lambda rng, i: (f"agent-{i % 3}", "conflict", [991], i * 10.0),
        starts=600,
        lasts=12,
        alarms=(603,),
        found_min=20,
        delay_max=3,
        false_max=0,
    ),
    # Runs of three calls, of which the unsure end badly rather than the others; then each doubts its last.
    "low_confidence": Scenario(
        _doubts(0.0),
        _doubts(0.5),
        starts=1600,
        lasts=24,
        alarms=(977, 1244, 1602, 1606, 1610, 1614, 1618),
        found_min=20,
        delay_max=2,
        false_max=200,
    ),
    # An agent that calls some five times a minute calls twice a second; nobody has set a cap.
    "volume": Scenario(
        lambda rng, i: (i * 12.0 + 12.0 * rng.random(),),
        lambda rng, i: (7200.0 + (i - 600) * 0.5,),
        starts=600,
        lasts=60,
        alarms=(616,),
        found_min=20,
        delay_max=16,
        false_max=0,
    ),
    # A page that the agent reads demands a mail to an address that nobody named.
    "tainted_argument": Scenario(
        lambda rng, i: ([("listed", rng.choice(("email", "path", "amount")))], rng.random() < 0.3),
        lambda rng, i: ([("listed", "amount"), ("ordered", "email")], True),
        starts=400,
        lasts=5,
        alarms=(400,),
        found_min=20,
        delay_max=1,
        false_max=0,
    ),
    # A run refunds twice, of which this agent does one in 150 runs.
    "sequence_surprise": Scenario(
        _errand,
        lambda rng, i: ("refund",) if i % 8 in (2, 4) else _errand(rng, i),
        starts=800,
        lasts=24,
        alarms=(381, 802),
        found_min=19,
        delay_max=2,
        false_max=40,
    ),
    # Prompts grow tenfold. Three of 20 stay within what this agent showed in its last 1,000 steps.
    "step_vector": Scenario(
        _step(cost=1.0),
        _step(cost=10.0),
        starts=1500,
        lasts=40,
        alarms=(1207, 1502),
        found_min=16,
        delay_max=2,
        false_max=20,
    ),
}


def alarms(name: str, seed: int, lasts: int | None = None) -> list[int]:
    """Indexes at which the detector begins to fire; `lasts=0` leaves the fault out."""
    scenario, detector, rng = SCENARIOS[name], DETECTORS[name](), random.Random(seed)
    found, fired = [], False
    end = 2000 if lasts == 0 else scenario.starts + scenario.lasts
    for i in range(end):
        faulty = lasts != 0 and i >= scenario.starts
        detector.update(*(scenario.faulty if faulty else scenario.clean)(rng, i))
        if detector.fires and not fired:
            found.append(i)
        fired = detector.fires
    return found


def test_each_detector_has_its_scenario() -> None:
    """No detector without a labelled stream."""

    assert set(SCENARIOS) == set(DETECTORS)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_alarms_stand_at_their_indexes(name: str) -> None:
    """The same stream alarms at the same observations, today and after every change."""

    assert tuple(alarms(name, seed=7)) == SCENARIOS[name].alarms


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_faults_are_found_in_time(name: str) -> None:
    """Under 20 seeds the faults are found, within the promised median delay."""
    starts = SCENARIOS[name].starts
    firsts = [next((i for i in alarms(name, s) if i >= starts), None) for s in range(20)]
    delays = [first - starts for first in firsts if first is not None]

    assert len(delays) >= SCENARIOS[name].found_min
    assert statistics.median(delays) <= SCENARIOS[name].delay_max


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_clean_streams_are_quiet(name: str) -> None:
    """20 clean streams of 2,000 observations bring no more false alarms than allowed."""
    false = sum(len(alarms(name, seed, lasts=0)) for seed in range(20))

    assert false <= SCENARIOS[name].false_max


def recorded_runs() -> Iterator[list[str]]:
    """Keys of the calls of each recorded run that nobody attacked."""
    if not TRACES.is_dir():
        pytest.skip("shared/data/agentdojo is absent: recorded runs are not part of the project")
    truth = map(json.loads, (TRACES / "truth.jsonl").read_text(encoding="utf-8").splitlines())
    runs: dict[str, list[str]] = {run["trace_id"]: [] for run in truth if not run["attacked"]}
    asked: dict[tuple[str, int], str] = defaultdict(str)
    with gzip.open(TRACES / "events.jsonl.gz", "rt", encoding="utf-8") as lines:
        for event in map(json.loads, lines):
            if event["trace_id"] not in runs or event["type"] not in {"tool_call", "tool_result"}:
                continue
            call = (event["trace_id"], event["call_index"])
            if event["type"] == "tool_call":
                asked[call] = json.dumps([event["tool"], event["args"]], sort_keys=True)
            else:
                key = f"{asked[call]}{event['result']}{event['error']}"
                runs[event["trace_id"]].append(hashlib.sha256(key.encode()).hexdigest()[:16])
    yield from runs.values()


def stopped_at(keys: list[str]) -> int | None:
    loop = ExactLoop()
    return next((i for i, key in enumerate(keys) if loop.update(key) and loop.fires), None)


def test_recorded_runs_go_on() -> None:
    """Of 280 recorded runs the loop rule stops 6 (2.14 %), each for a true repetition.

    The rule itself is a promise to users and not tuned to these runs; the bound of 2.5 % watches
    what the promise costs.
    """
    runs = list(recorded_runs())
    stopped = [keys for keys in runs if stopped_at(keys) is not None]

    assert len(runs) == 280
    assert len(stopped) <= 0.025 * len(runs)
    assert all(max(map(keys.count, keys)) >= 4 for keys in stopped)


def test_a_loop_in_a_recorded_run_is_stopped() -> None:
    """A run's last calls, repeated four times more, never get through their fifth round."""
    for keys in recorded_runs():
        if keys and stopped_at(keys) is None:
            for period in range(1, min(4, len(keys)) + 1):
                looping = keys + keys[-period:] * 4
                found = stopped_at(looping)

                assert found is not None
                assert found < len(keys) + 3 * period  # the run itself went through it once
