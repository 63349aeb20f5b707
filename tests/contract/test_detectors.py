"""What every detector promises, whatever it detects: one suite over the whole catalogue.

A new detector needs one line in `CASES`: how it is made, what a normal observation looks like, and
what it is there to find.
"""

import copy
import hashlib
import importlib
import itertools
import json
import math
import os
import pickle
import pkgutil
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from river import checks

import detectors
from detectors import (
    CATALOGUE,
    DETECTORS,
    OFFERED,
    Detector,
    StatisticalDetector,
    StepVector,
    step_features,
)
from ingest import agent_file
from stream.agent.agent_cells import upgraded

Arguments = tuple[Any, ...]
ROOT = Path(__file__).parents[2]
EVIDENCE = {"observed", "expected", "score", "threshold", "n", "status"}
ACTIONS = {"log", "annotate", "throttle", "step-up", "block-call", "stop-run", "open", "rollback"}
SEVERITIES = {"info", "low", "medium", "high", "critical"}
PIECES = {
    "alarm_budget",
    "backoff",
    "base",
    "beta_binomial",
    "conformal_tail",
    "e_detector",
    "failures",
    "input_lag",
    "moving",
    "neighbours",
    "shrinkage",
    "uniformity",
    "usual_share",
}  # shared by detectors; none themselves


@dataclass(frozen=True)
class Case:
    """How the suite feeds one detector; `i` counts the observations, one every 0.1 s."""

    normal: Callable[[random.Random, int], Arguments]
    odd: Callable[[random.Random, int], Arguments]
    pickled_max: int
    """Bytes of state that one key may cost."""


def _step(rng: random.Random, cost: float = 1.0) -> Arguments:
    size = rng.gauss(0.0, 0.6)
    tokens = int(cost * math.exp(6.5 + size))
    seconds = math.exp(0.6 * size + rng.gauss(0.0, 0.4))
    failed, write = rng.random() < 0.03, rng.random() < 0.15
    return (step_features(seconds, tokens * 3e-6, tokens, failed, write),)


def _priced(rng: random.Random, times: float) -> Arguments:
    tokens = int(rng.lognormvariate(7.0, 0.8)), int(rng.lognormvariate(5.5, 0.8))
    return (times * (3e-6 * tokens[0] + 15e-6 * tokens[1]) * rng.lognormvariate(0.0, 0.1), *tokens)


def _spent(rng: random.Random, times: float) -> Arguments:
    """A finished run of 9 to 16 steps of about a cent."""
    step, steps = times * rng.uniform(0.009, 0.011), rng.randrange(9, 17)
    return ([step, 2 * step, 4 * step, 8 * step, steps * step], True)


def _silence(rng: random.Random, i: int) -> Arguments:
    return (True, i * 0.1 + rng.random() * 0.05)


def _habit(rng: random.Random, i: int) -> Arguments:
    """Runs of five calls with habits and some freedom, then their end."""
    place = i % 6
    calls = ("find", rng.choice(("read", "read", "list")), "read", "check", "update")
    return (None if place == 5 else calls[place],)


CASES: dict[str, Case] = {
    "error_rate": Case(
        lambda rng, i: (rng.random() < 0.03, i * 0.1), lambda rng, i: (True, i * 0.1), 500
    ),
    "error_baseline": Case(lambda rng, i: (rng.random() < 0.03,), lambda rng, i: (True,), 3000),
    "malformed_result": Case(
        lambda rng, i: (rng.random() < 0.01, "type", "items[].price", "a1" * 16),
        lambda rng, i: (True, "missing", "total", "b2" * 16),
        500,
    ),
    "new_template": Case(
        lambda rng, i: (rng.choice(("found", "found", "nothing", "late")),),
        lambda rng, i: (("gone", "moved", "locked", "torn")[i // 60 % 4],),
        900,
    ),
    "call_rate": Case(
        lambda rng, i: (i * 0.1, 1000, 100_000), lambda rng, i: (i * 0.1, 10, 100_000), 500
    ),
    "first_time": Case(
        lambda rng, i: (
            f"tool-{rng.randrange(6)}",
            rng.randrange(1, 4),
            [rng.randrange(3)],
            i * 60.0,
        ),
        lambda rng, i: (f"new-{i % 7}", 1, [], i * 60.0),
        4096,
    ),
    "latency": Case(
        lambda rng, i: (rng.lognormvariate(0.0, 0.3), 1.5), lambda rng, i: (9.0, 1.5), 800
    ),
    "latency_baseline": Case(
        lambda rng, i: (rng.lognormvariate(0.0, 0.3),), lambda rng, i: (30.0,), 800
    ),
    "cost_cap": Case(
        lambda rng, i: (rng.random() * 1e-3, i * 0.1, 100.0),
        lambda rng, i: (60.0, i * 0.1, 99.0),
        300,
    ),
    "silence": Case(_silence, lambda rng, i: (False, i * 0.1 + 60.0), 300),
    "unsupported_claim": Case(
        lambda rng, i: (rng.randrange(3), rng.random() < 0.2), lambda rng, i: (8, False), 500
    ),
    "divergence": Case(
        lambda rng, i: ([("unclaimed_write", 0), ("arguments", 0)], rng.random() < 0.1),
        lambda rng, i: ([("arguments", 1), ("not_executed", 1)],),
        200,
    ),
    "exact_loop": Case(
        lambda rng, i: (f"{rng.getrandbits(64):016x}",), lambda rng, i: ("again",), 1000
    ),
    "ping_pong": Case(
        lambda rng, i: (rng.randrange(3), rng.randrange(1, 9)), lambda rng, i: (4, 2), 200
    ),
    "unplanned_step": Case(
        lambda rng, i: (rng.random() < 0.2 and i % 4 != 0, i % 4 == 0),
        lambda rng, i: (True, True),
        300,
    ),
    "no_progress": Case(
        lambda rng, i: (rng.randrange(6), i % 5 == 0), lambda rng, i: (12, False), 700
    ),
    "canary_rate": Case(
        lambda rng, i: (rng.random() < 0.02, rng.random() < 0.1, 0.1),
        lambda rng, i: (True, True, 0.1),
        300,
    ),
    "canary_mix": Case(
        lambda rng, i: (rng.choices("abcdefgh", range(8, 0, -1), k=6), rng.random() < 0.1, 0.1),
        lambda rng, i: (["z", "a"] if i % 2 else ["a", "b"], i % 2 == 1, 0.1),
        1500,
    ),
    "slow_drift": Case(lambda rng, i: (rng.random() < 0.03,), lambda rng, i: (True,), 400),
    "task_drift": Case(
        lambda rng, i: (
            rng.choices("abcd", (4, 3, 2, 1), k=4),
            5,
            rng.uniform(0.01, 0.02),
            i % 25 == 0,
        ),
        lambda rng, i: (["a", "d", "x"], 9, 0.04, True),
        1100,
    ),
    "run_cost": Case(
        lambda rng, i: _spent(rng, 1.0), lambda rng, i: (*_spent(rng, 9.0), 0.9), 1100
    ),
    "context_growth": Case(
        lambda rng, i: (int(900 * rng.lognormvariate(0.0, 0.2)),), lambda rng, i: (9000,), 300
    ),
    "memory_influence": Case(
        lambda rng, i: ([("listed", "account")] if rng.random() < 0.3 else [], True),
        lambda rng, i: ([("listed", "email"), ("ordered", "account")],),
        200,
    ),
    "tool_changed": Case(
        lambda rng, i: ("a1", f"v{rng.randrange(2)}"), lambda rng, i: ("b2", f"v{i % 2}"), 400
    ),
    "skipped_step": Case(
        lambda rng, i: (["verify"], ["find", "verify"]), lambda rng, i: (["verify"], ["find"]), 200
    ),
    "skipped_habit": Case(
        lambda rng, i: (("find", "verify", "pay", None)[i % 4],),
        lambda rng, i: (("find", "note", "pay", None)[i % 4],),
        4000,
    ),
    "probe_drift": Case(
        lambda rng, i: (f"p{i % 20}", False), lambda rng, i: (f"p{i % 20}", True), 900
    ),
    "price_mismatch": Case(lambda rng, i: _priced(rng, 1.0), lambda rng, i: _priced(rng, 2.1), 400),
    "shadow_pair": Case(
        lambda rng, i: (rng.random() < 0.01, rng.random() < 0.01), lambda rng, i: (True, False), 300
    ),
    "series_novelty": Case(
        lambda rng, i: (50 + 40 * math.sin(i / 46) + rng.random(),), lambda rng, i: (300.0,), 70_000
    ),
    "tainted_argument": Case(
        lambda rng, i: ([("listed", rng.choice(("id", "amount")))], rng.random() < 0.3),
        lambda rng, i: ([("ordered", "email"), ("listed", "amount")], True),
        200,
    ),
    "leakage": Case(
        lambda rng, i: (["email"] if rng.random() < 0.3 else [], ["personal"]),
        lambda rng, i: (["aws_key", "email"], ["personal"]),
        200,
    ),
    "sensitive_rate": Case(
        lambda rng, i: (["email"] if rng.random() < 0.01 else [],),
        lambda rng, i: (["email", "iban"],),
        500,
    ),
    "trigger_pair": Case(
        lambda rng, i: ([rng.getrandbits(31), rng.randrange(40)], ["note"] if i % 97 else ["pay"]),
        lambda rng, i: ([991, rng.getrandbits(31)], ["pay"]),
        5000,
    ),
    "contention": Case(
        lambda rng, i: (
            f"agent-{rng.randrange(6)}",
            rng.choice(("conflict", "timeout")),
            [rng.getrandbits(32)],
            i * 60.0,
        ),
        lambda rng, i: (f"agent-{i % 3}", "lock", [991], 1e6 + i * 0.1),
        2000,
    ),
    "low_confidence": Case(
        lambda rng, i: (
            (None, None, rng.random() < 0.05) if i % 4 == 3 else (rng.uniform(0.7, 0.95),)
        ),
        lambda rng, i: (None, None, True) if i % 4 == 3 else (0.2,),
        2100,
    ),
    "volume": Case(
        lambda rng, i: (i * 10.0, rng.randrange(1, 3)), lambda rng, i: (i * 10.0, 60), 1200
    ),
    "sequence_surprise": Case(_habit, lambda rng, i: (f"new-{i % 7}",), 12_000),
    "step_vector": Case(lambda rng, i: _step(rng), lambda rng, i: _step(rng, cost=1e4), 8192),
}

every = pytest.mark.parametrize("name", sorted(DETECTORS))
statistical = pytest.mark.parametrize(
    "name", [name for name in sorted(DETECTORS) if issubclass(DETECTORS[name], StatisticalDetector)]
)


def stream(name: str, n: int, odd_from: int = 1 << 60, seed: int = 7) -> Iterator[Arguments]:
    """A seeded stream, normal up to `odd_from`."""
    case, rng = CASES[name], random.Random(seed)
    for i in range(n):
        yield (case.normal if i < odd_from else case.odd)(rng, i)


def play(detector: Detector, observations: Iterator[Arguments]) -> list[tuple[float, bool, bool]]:
    """Score, fires and warns after each observation."""
    return [
        (detector.update(*observation), detector.fires, detector.warns)
        for observation in observations
    ]


def trained(name: str, n: int = 1500) -> Detector:
    detector = DETECTORS[name]()
    play(detector, stream(name, n))
    return detector


def digest() -> str:
    """One hash over all scores, decisions, evidence and states of all detectors."""
    found = hashlib.sha256()
    for name in sorted(DETECTORS):
        detector = DETECTORS[name]()
        found.update(repr(play(detector, stream(name, 1600, odd_from=1500))).encode())
        found.update(json.dumps(detector.evidence()).encode())
        found.update(pickle.dumps(detector))
    return found.hexdigest()


def test_what_is_statistical_obeys_the_brake() -> None:
    """A limit that somebody set never does; the rules that judge by shares are named here."""
    soft = {name for name, entry in CATALOGUE.items() if entry.soft}
    statistical = {name for name, e in CATALOGUE.items() if e.evidence_class == "statistical"}

    assert soft - statistical == {"error_rate", "latency"}
    assert statistical <= soft


def test_the_tables_name_the_same_detectors() -> None:
    """Each detector has its class, its catalogue entry and its case here."""

    assert [name for name in DETECTORS if name not in OFFERED] == list(CATALOGUE)
    assert get_args(agent_file.Detector) == tuple(CATALOGUE)
    assert set(DETECTORS) == set(CASES)


def test_each_file_is_registered_and_each_name_resolves() -> None:
    """A detector file that nobody registered, or a name that can't be imported, is a mistake."""
    files = {module.name for module in pkgutil.iter_modules(detectors.__path__)} - PIECES
    registered = {cls.__module__.removeprefix("detectors.") for cls in DETECTORS.values()}

    assert files == registered
    assert len(set(DETECTORS.values())) == len(DETECTORS)
    assert len(set(detectors.__all__)) == len(detectors.__all__)
    for name in detectors.__all__:
        assert getattr(importlib.import_module("detectors"), name) is not None


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_catalogue_entries_use_the_shared_words(name: str) -> None:
    """Class, actions and severities are the words that policy reads; statistics never stop."""
    entry = CATALOGUE[name]

    assert entry.evidence_class in {"rule", "statistical", "version"}
    assert entry.action in ACTIONS and entry.severity in SEVERITIES
    assert (entry.warn_action is None) == (entry.warn_severity is None)
    assert entry.warn_action in ACTIONS | {None} and entry.warn_severity in SEVERITIES | {None}
    if entry.evidence_class == "statistical":
        assert issubclass(DETECTORS[name], StatisticalDetector)
        assert entry.action in {"annotate", "step-up"}


@every
def test_it_says_nothing_before_it_saw_anything(name: str) -> None:
    """A fresh detector scores 0, neither fires nor warns, and has evidence to show."""
    detector = DETECTORS[name]()

    assert (detector.n, detector.score, detector.fires, detector.warns) == (0, 0.0, False, False)
    assert detector.evidence().keys() >= EVIDENCE


@every
def test_scores_are_finite_rounded_and_in_their_range(name: str) -> None:
    """Each update returns the score: finite, within `bounds`, with at most 6 digits."""
    detector = DETECTORS[name]()
    low, high = detector.bounds
    for observation in stream(name, 1500, odd_from=1300):
        score = detector.update(*observation)

        assert score == detector.score == round(score, 6)
        assert low <= score <= high and math.isfinite(score)
        assert not (detector.fires and detector.warns)


@every
def test_it_finds_what_it_is_for_and_nothing_else(name: str) -> None:
    """Silent on its normal stream, it fires within 40 odd observations."""
    played = play(DETECTORS[name](), stream(name, 1340, odd_from=1300))

    assert not any(fires or warns for _, fires, warns in played[:1300])
    assert any(fires for _, fires, _ in played[1300:])


@every
@pytest.mark.parametrize("again", [lambda d: pickle.loads(pickle.dumps(d)), copy.deepcopy])
def test_a_restored_detector_goes_on_alike(
    name: str, again: Callable[[Detector], Detector]
) -> None:
    """After a pickle or a copy in mid-stream the same observations give the same, to the digit."""
    for cut in (0, 7, 120, 1200):
        observations = list(stream(name, cut + 200, odd_from=cut + 150))
        detector = DETECTORS[name]()
        play(detector, iter(observations[:cut]))
        restored = again(detector)
        rest = play(detector, iter(observations[cut:]))

        assert play(restored, iter(observations[cut:])) == rest
        assert restored.evidence() == detector.evidence()
        assert pickle.dumps(restored) == pickle.dumps(again(detector))


@every
def test_state_is_bounded(name: str) -> None:
    """20,000 observations cost no more state than the case allows, and hardly more than 5,000."""
    detector = DETECTORS[name]()
    observations = stream(name, 20_000)
    play(detector, itertools.islice(observations, 5_000))
    before = len(pickle.dumps(detector))
    play(detector, observations)
    after = len(pickle.dumps(detector))

    assert after <= CASES[name].pickled_max
    assert after <= 1.25 * before  # ADWIN's buckets grow with the logarithm; nothing grows faster


@every
def test_evidence_is_small_plain_and_changes_nothing(name: str) -> None:
    """Evidence is strict JSON under 1 kB; reading it leaves the state as it was."""
    detector = DETECTORS[name]()
    play(detector, stream(name, 1310, odd_from=1300))
    before = pickle.dumps(detector)
    evidence = detector.evidence()

    assert pickle.dumps(detector) == before
    assert evidence.keys() >= EVIDENCE
    assert len(json.dumps(evidence, allow_nan=False)) < 1024
    assert evidence["score"] == detector.score and evidence["n"] == detector.n
    assert evidence["status"] in {"cold", "shadow", "live"}


@every
def test_a_clone_is_fresh_and_shares_nothing(name: str) -> None:
    """A clone has the parameters without the past, and what the original learns stays there."""
    detector = trained(name)
    clone = detector.clone()
    before = pickle.dumps(clone)
    play(detector, stream(name, 50, seed=3))

    assert pickle.dumps(clone) == before
    assert repr(clone) == repr(detector)
    assert clone.n == 0
    assert play(clone, stream(name, 300)) == play(DETECTORS[name](), stream(name, 300))


@pytest.mark.parametrize("name", DETECTORS)
def test_it_has_all_its_parts_from_the_start(name: str) -> None:
    """What has seen much is made of the same parts as what is new; else an upgrade would begin it anew."""
    detector = trained(name)

    assert upgraded(detector) is detector


def test_every_process_computes_the_same() -> None:
    """Scores, decisions, evidence and state don't depend on the process or its hash seed."""
    code = "from tests.contract.test_detectors import digest; print(digest())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert found == {digest()}


@statistical
def test_statistics_say_nothing_until_they_are_live(name: str) -> None:
    """They neither score before the warm-up nor fire before 100 scores were shadowed."""
    detector = DETECTORS[name]()
    cold = [score for score, _, _ in play(detector, stream(name, detector.n0 - 1))]
    statuses = [detector.status]
    shadow = play(detector, stream(name, 100, odd_from=90))
    statuses.append(detector.status)

    assert set(cold) == {0.0}
    assert statuses == ["cold", "shadow"]
    assert not any(fires for _, fires, _ in shadow)


@statistical
def test_one_incident_is_one_alarm(name: str) -> None:
    """Between two alarms lie more observations than the quiet period."""
    detector = DETECTORS[name]()
    assert isinstance(detector, StatisticalDetector)
    played = play(detector, stream(name, 2200, odd_from=1400))
    alarms = [i for i, (_, fires, _) in enumerate(played) if fires]

    assert alarms
    assert all(b - a > detector.quiet for a, b in itertools.pairwise(alarms))


RIVER_CHECKS = [
    "check_repr",
    "check_str",
    "check_clone_same_class",
    "check_clone_is_idempotent",
    "check_clone_changes_memory_addresses",
    "check_clone_with_new_params_applies",
    "check_get_params_matches_signature",
    "check_init_default_params_are_not_mutable",
    "check_init_has_default_params_for_tests",
    "check_mutate_can_be_idempotent",
    "check_pickling_supports_roundtrip",
    "check_repr_roundtrips_clone",
    "check_doc",
]
RIVER_STREAM_CHECKS = [
    "check_learn_one",
    "check_pickling",
    "check_shuffle_features_no_impact",
    "check_emerging_features",
    "check_disappearing_features",
    "check_radically_disappearing_features",
    "check_predict_one_pure",
    "check_predict_one_before_any_learn",
    "check_no_state_aliasing_with_input",
    "check_clone_is_independent",
    "check_bounded_memory_growth",
]


@every
@pytest.mark.parametrize("check", RIVER_CHECKS)
def test_it_is_a_proper_river_object(name: str, check: str) -> None:
    """River's own checks of parameters, cloning and pickling hold."""

    assert getattr(checks.common, check)(DETECTORS[name]()) is None  # each check asserts inside


@pytest.mark.parametrize("check", RIVER_STREAM_CHECKS)
def test_the_estimator_passes_rivers_stream_checks(check: str) -> None:
    """River's checks of missing, new and shuffled features, purity and memory hold."""
    dataset = [(observation[0], 0) for observation in stream("step_vector", 400)]

    assert getattr(checks.common, check)(StepVector(), dataset=dataset) is None
