"""What the shared pieces promise: the last minute, the quiet period."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detectors.base import Json, LastMinute, StatisticalDetector

events = st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=80)


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
