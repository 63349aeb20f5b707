"""What the silence rule promises."""

import math

import pytest

from detectors import Silence


def test_three_missed_heartbeats_fire_once() -> None:
    """3.5 s after the last heartbeat it fires, and not again while the silence goes on."""
    silence = Silence(interval=1.0)
    silence.heard(now=10.0)
    seen = []
    for now in (12.0, 13.4, 13.5, 14.0, 99.0):
        silence.update(False, now)
        seen.append(silence.fires)

    assert seen == [False, False, True, False, False]


def test_with_ticks_every_half_second_it_keeps_its_promise() -> None:
    """Whenever the last heartbeat came, the tick that fires comes within 4 s of it."""
    for last in [10.0 + i / 16 for i in range(16)]:
        silence = Silence()
        silence.heard(last)
        fired = next(
            now
            for now in (10.0 + i / 2 for i in range(40))
            if now > last and (silence.update(False, now) and silence.fires)
        )

        assert 3.5 <= fired - last <= 4.0


def test_heartbeats_with_jitter_are_no_silence() -> None:
    """Two lost heartbeats and half a second of delay are still life."""
    silence = Silence()
    for now in (0.0, 1.0, 4.4, 5.4, 8.8):
        silence.heard(now)

        assert not silence.fires


def test_it_arms_only_when_something_was_heard() -> None:
    """Before the first sign of life there is no deadline, so nothing to miss."""
    silence = Silence()

    assert silence.deadline == math.inf
    assert silence.update(False, now=1e9) == 0.0
    assert not silence.fires


def test_after_an_alarm_a_sign_of_life_arms_it_again() -> None:
    """A second silence is a second alarm."""
    silence = Silence()
    fired = []
    for heard, now in ((True, 0.0), (False, 4.0), (True, 5.0), (False, 9.0)):
        silence.update(heard, now)
        fired.append(silence.fires)

    assert fired == [False, True, False, True]
    assert silence.deadline == math.inf


def test_an_outage_of_ours_moves_the_deadline() -> None:
    """Record time that jumped by 60 s because nobody wrote is no silence of the agent's."""
    silence = Silence()
    silence.heard(now=10.0)
    silence.shift(70.0)

    assert not silence.overdue(now=71.0)
    assert silence.deadline == 83.5
    assert silence.update(False, now=83.5) == 1.0 and silence.fires


def test_looking_changes_nothing() -> None:
    """`overdue` answers without learning."""
    silence = Silence()
    silence.heard(now=0.0)

    assert silence.overdue(now=5.0) and silence.overdue(now=5.0)
    assert not silence.fires and silence.n == 1


def test_slower_heartbeats_are_awaited_longer() -> None:
    """Outside a run heartbeats come every 10 s."""
    silence = Silence(interval=10.0)
    silence.heard(now=0.0)

    assert silence.deadline == 35.0


@pytest.mark.parametrize("interval", [0.0, -1.0, math.inf, math.nan])
def test_an_impossible_interval_is_refused(interval: float) -> None:
    """A deadline at once, or never, is a mistake."""
    with pytest.raises(ValueError, match="interval"):
        Silence(interval)
