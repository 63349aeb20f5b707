"""How sure an agent is of its calls: what counts as unsure, when that means something, what is learnt."""

import pickle
import random

import pytest

from detectors import Course, LowConfidence

SURE, UNSURE = 0.9, 0.3
RUNS = 120  # of three calls


def taught(meant: bool = True, runs: int = RUNS) -> LowConfidence:
    """Knows an agent of whose runs every tenth ends badly; `meant`: it was a little less sure of those."""
    detector, rng = LowConfidence(), random.Random(5)
    for n in range(runs):
        bad = n % 10 == 9
        for _ in range(3):
            detector.update(rng.uniform(0.75, 0.95) - 0.1 * (bad and meant))
        detector.update(None, bad=bad)
    return detector


def fires(detector: LowConfidence, *confidences: float) -> list[bool]:
    """Whether each call of one run alarms."""
    course, found = Course(), list[bool]()
    for confidence in confidences:
        detector.update(confidence, course)
        found.append(detector.fires)
    return found


def test_the_unsure_call_itself_is_found() -> None:
    """Not the one before it, and not a later one that is as sure as usual."""

    assert fires(taught(), SURE, UNSURE, SURE) == [False, True, False]


def test_a_doubt_that_never_meant_anything_is_no_alarm() -> None:
    """The same doubt, as rare: but this agent was as sure of what ended badly."""
    detector = taught(meant=False)

    assert fires(detector, SURE, UNSURE) == [False, False]
    assert detector.score > detector.threshold
    assert abs(detector.calibration()[0] - 0.5) < 0.15


def test_an_agent_of_which_nothing_ends_badly_is_not_judged() -> None:
    """What its doubts mean nobody has seen yet; with four bad ends neither."""
    detector = taught(runs=49)
    for _ in range(100):
        detector.update(SURE)
        detector.update(None)

    assert detector.status == "live"
    assert fires(detector, UNSURE) == [False]
    detector.update(0.6)
    detector.update(None, bad=True)
    assert fires(detector, UNSURE) == [True]


def test_calibration_is_the_share_of_pairs() -> None:
    """By hand: bad runs at .2 and .6, good ones at .6, .8 and .8; five each, so times what is written."""
    detector = LowConfidence()
    for bad, lowest in [(True, 0.2), (True, 0.6), (False, 0.6), (False, 0.8), (False, 0.8)] * 5:
        detector.update(lowest)
        detector.update(None, bad=bad)
    less_sure, sd = detector.calibration()

    assert less_sure == pytest.approx((3 + 2.5) / 6)
    # Mann and Whitney with ties: 10 and 15 runs, of which 5, 10 and 10 are alike.
    variance = 10 * 15 / 12 * (26 - (5**3 - 5 + 2 * (10**3 - 10)) / (25 * 24))
    assert sd == pytest.approx(150 * (less_sure - 0.5) / variance**0.5, abs=1e-5)


def test_a_falling_level_is_found_though_no_call_is_the_least_sure() -> None:
    """From three sure calls to three unsure ones, each of them as unsure as good runs are now and then."""
    detector, rng = LowConfidence(), random.Random(5)
    for n in range(RUNS):  # about every level, but never from one to another
        level = (0.95, 0.55)[n % 2] - 0.2 * (n % 10 == 9)
        for _ in range(6):
            detector.update(level + rng.uniform(0.0, 0.02))
        detector.update(None, bad=n % 10 == 9)

    assert fires(detector, *[0.56] * 6) == [False] * 6
    assert any(fires(detector, *[0.96] * 3, *[0.56] * 3))


def test_a_run_alarms_once_but_each_unsure_call_is_told_apart() -> None:
    """After an alarm about a read, a write that is as unsure is still `odd`; a sure one is not."""
    detector, course, found = taught(), Course(), list[tuple[bool, bool]]()
    for confidence in (UNSURE, UNSURE, SURE):
        detector.update(confidence, course)
        found.append((detector.fires, detector.odd))

    assert found == [(True, True), (False, True), (False, False)]


def test_what_ended_badly_is_not_what_is_usual() -> None:
    """Ever more unsure runs that fail do not make the next unsure one ordinary."""
    detector = taught()
    for _ in range(100):
        detector.update(UNSURE)
        detector.update(None, bad=True)

    assert fires(detector, UNSURE) == [True]


def test_a_run_that_shall_not_teach_changes_nothing() -> None:
    """A refused run may have been refused for its doubts: it would prove itself right."""
    detector = taught()
    before = detector.runs, detector.calibration(), detector._lowest.quantiles()
    for _ in range(50):
        detector.update(UNSURE)
        detector.update(None, bad=True, learn=False)

    assert (detector.runs, detector.calibration(), detector._lowest.quantiles()) == before


def test_usual_runs_seldom_alarm() -> None:
    """Of 1,000 runs of the kind that was learnt at most one in fifty, which is what its p says."""
    detector, rng = taught(runs=400), random.Random(6)
    fired = sum(
        any(fires(detector, *(rng.uniform(0.75, 0.95) for _ in range(3)))) for _ in range(1000)
    )

    assert fired <= 20


def test_its_state_is_bounded() -> None:
    """Two versions of it cost an agent less than 4 kB, however long they run."""
    detector, rng, course = LowConfidence(), random.Random(7), Course()
    for n in range(20_000):
        course = course if n % 4 else Course()
        detector.update(rng.random() if n % 4 < 3 else None, course, bad=n % 40 == 3)

    assert len(pickle.dumps(detector)) <= 2000
    assert len(pickle.dumps(course)) - len(pickle.dumps(Course())) <= 60
