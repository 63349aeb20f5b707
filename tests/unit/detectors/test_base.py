"""What the shared pieces promise: the last minute, the conformal rank, the quiet period."""

import pickle
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detectors.base import ConformalRank, Json, LastMinute, StatisticalDetector

events = st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=80)
scores = st.lists(st.integers(0, 30).map(lambda n: n / 10), max_size=60)


class Threshold(StatisticalDetector):
    """The smallest statistical detector: alarms on every 1."""

    bounds = (0.0, 1.0)
    n0 = 10
    threshold = 1.0

    def update(self, *args: Any, **kwargs: Any) -> float:
        self.n += 1
        self.score = float(args[0])
        self._decide(self.score >= self.threshold)
        return self.score

    def _facts(self) -> dict[str, Json]:
        return {"observed": self.score}


@given(events)
def test_the_last_minute_counts_twelve_buckets(pauses: list[tuple[float, bool]]) -> None:
    """Counts equal those of a list of all events, cut to the latest twelve 5 s buckets."""
    window, seen, now = LastMinute(), [], 1e9
    for pause, marked in pauses:
        now += pause
        window.add(now, marked)
        seen.append((now // 5, marked))
        recent = [mark for bucket, mark in seen if bucket > now // 5 - 12]

        assert (window.count, window.marked) == (len(recent), sum(recent))


def test_time_that_falls_counts_into_the_latest_bucket() -> None:
    """A record before the latest one neither clears the window nor opens a bucket."""
    window = LastMinute()
    for now in (100.0, 40.0, 100.0):
        window.add(now)

    assert window.count == 3


@given(scores, st.integers(1, 20))
def test_conformal_p_is_the_rank_among_the_kept(stream: list[float], size: int) -> None:
    """p equals (1 + kept scores at least as high) / (1 + kept), also after a checkpoint."""
    rank, kept = ConformalRank(size), list[float]()
    for score in stream:
        p = rank.update(score)

        assert p == (1 + sum(old >= score for old in kept)) / (1 + len(kept))

        kept = [*kept, score][-size:]
        rank = pickle.loads(pickle.dumps(rank))

        assert rank.kept == len(kept)
        assert rank.highest == (max(kept) if len(kept) == size else None)


def test_expected_scores_are_quantiles_of_the_kept() -> None:
    """An alarm record's expectation comes from the scores that calibrate it."""
    rank = ConformalRank(1001)

    assert rank.quantiles() is None

    for i in range(1001):
        rank.update(i / 1000)

    assert rank.quantiles() == {"median": 0.5, "p95": 0.95, "p999": 0.999}


def test_it_goes_from_cold_over_shadow_to_live() -> None:
    """The status names where a key stands; only live ones alarm."""
    detector, seen = Threshold(quiet=0), list[tuple[str, bool]]()
    for _ in range(112):
        detector.update(1.0)
        seen.append((detector.status, detector.fires))

    assert seen[8] == ("cold", False)
    assert seen[9] == seen[108] == ("shadow", False)
    assert seen[109] == seen[110] == ("live", True)


def test_the_quiet_period_mutes_the_echo_of_an_alarm() -> None:
    """After an alarm come `quiet` updates without one, however bad they are."""
    detector = Threshold(quiet=5)
    fired = [i for i in range(125) if detector.update(1.0) and detector.fires]

    assert fired == [109, 115, 121]
