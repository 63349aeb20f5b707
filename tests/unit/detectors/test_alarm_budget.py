"""The alarm budget: what statistical detectors may say of one agent."""

import pickle
import random

import pytest

from detectors.alarm_budget import ETA, LEVELS, QUIET_SECONDS, Account, AlarmBudget, Level
from detectors.base import DAY_SECONDS


def said(
    budget: AlarmBudget,
    a_day: float,
    days: int,
    rarity: float,
    level: Level = "ticket",
    joint: bool = False,
) -> list[float]:
    """Times at which something is said, of episodes so many a day, each of another pattern."""
    rng, now, told = random.Random(7), 1e9, []
    until = now + days * DAY_SECONDS
    while (now := now + rng.expovariate(a_day / DAY_SECONDS)) < until:
        word = budget.offer("d", str(now), rarity + rng.random(), level, now, joint=joint)
        if word == "said":
            told.append(now)
    return told


@pytest.mark.parametrize("rarity", [2.0, 5.5, 12.0])
@pytest.mark.parametrize("level", ["ticket", "annotation"])
def test_the_rate_comes_to_the_budget_whatever_the_scores_law(rarity: float, level: Level) -> None:
    """A detector that fires ten times too often says its budget, however sure of itself it is."""
    target = LEVELS[level]
    late = [
        at
        for at in said(AlarmBudget(), 10 * target, 400, rarity, level)
        if at > 1e9 + 300 * DAY_SECONDS
    ]

    assert 0.5 * target <= len(late) / 100 <= 1.3 * target


def test_what_stays_within_the_budget_is_all_said() -> None:
    """A detector that is silent mostly loses nothing."""
    assert len(said(AlarmBudget(), 0.2, 200, 3.0)) == len(said(AlarmBudget(), 0.2, 200, 16.0)) > 20


def test_one_episode_is_one_alarm() -> None:
    """The same pattern speaks again after the pause, or at once if it is ten times rarer than before."""
    budget = AlarmBudget()
    words = [
        budget.offer("d", "search", r, "annotation", 1e9 + i)
        for i, r in enumerate((3, 3.9, 4.0, 4.9))
    ]
    other = budget.offer("d", "find", 3.0, "annotation", 1e9 + 5)
    later = budget.offer("d", "search", 3.0, "annotation", 1e9 + QUIET_SECONDS + 1)

    assert words == ["said", "muted", "said", "muted"]
    assert (other, later) == ("said", "said")


def test_findings_that_come_thick_speak_once_more() -> None:
    """A false alarm does not hide the fault that follows it, and a fault says so once."""
    budget, now = AlarmBudget(), 1e9
    for i in range(20):  # its usual pace: one in six hours
        budget.offer("d", "m", 3.0, "annotation", now + i * 6 * QUIET_SECONDS)
    now += 19 * 6 * QUIET_SECONDS
    slowly = [budget.offer("d", "m", 3.0, "annotation", now + 600 * i) for i in (1, 2, 3)]
    thick = [budget.offer("d", "m", 3.0, "annotation", now + 2400 + i) for i in range(20)]

    assert slowly == ["muted"] * 3
    assert thick.count("said") == 1
    assert thick.index("said") <= 4


def test_a_busy_agent_begins_with_a_higher_threshold() -> None:
    """One in a thousand is news of an agent of ten steps an hour, and none of one of three a second."""
    words = []
    for n in (240, 260_000):
        budget = AlarmBudget(since=1e9)
        words.append(budget.offer("d", "m", 3.0, "annotation", 1e9 + DAY_SECONDS, n))
        words.append(budget.offer("d", "x", 4.5, "annotation", 1e9 + DAY_SECONDS, n))

    assert words == ["said", "said", "muted", "said"]


def test_labels_move_the_shares_and_silence_nobody() -> None:
    """False alarms give room to those who are right; one in twenty stays to the worst."""
    budget = AlarmBudget()
    for name in ("good", "bad"):
        budget.account(name)
    even = budget.target("bad", "ticket")
    budget.account("bad").wrong = budget.account("good").right = 200

    assert even == 0.5
    assert 0.045 <= budget.target("bad", "ticket") < 0.06
    assert budget.target("good", "ticket") > 0.9


def test_each_label_moves_precision_its_own_way() -> None:
    """It falls with each false word, rises with each real one, and stays between 0 and 1."""
    falling = [Account(right=1, wrong=n).precision for n in range(100)]
    rising = [Account(right=n, wrong=1).precision for n in range(100)]

    assert Account().precision == 0.5
    assert falling == sorted(set(falling), reverse=True)
    assert rising == sorted(set(rising))
    assert 0 < falling[-1] < rising[-1] < 1
    assert Account(right=3, wrong=1).precision == 4 / 6


def test_a_detector_that_never_stops_is_only_logged_until_it_is_well() -> None:
    """Days of noise demote it, an hour of it does not, and quiet days bring it back."""
    budget, changes, now = AlarmBudget(), list[bool | None](), 1e9
    for i in range(30):
        budget.offer("d", f"{i}", 3.0, "ticket", now + 60 * i)
        changes.append(budget.ill("d", "ticket"))
    hour = list(changes)
    for i in range(200):
        now += DAY_SECONDS / 24
        budget.offer("d", "x", 3.0 + i, "ticket", now)
        changes.append(budget.ill("d", "ticket"))
    ill = budget.account("d").demoted
    now += 20 * DAY_SECONDS
    budget.offer("d", "y", 3.0, "ticket", now)
    changes.append(budget.ill("d", "ticket"))

    assert hour == [None] * 20 + hour[20:]
    assert ill
    assert [change for change in changes if change is not None] == [True, False]
    assert budget.offer("d", "z", 7.0, "ticket", now + 1) == "said"


def test_joint_findings_of_an_hour_are_one_alarm() -> None:
    """Whoever tries a hundred times in a row exhausts nothing; singly they would be let through."""
    words = {}
    for joint in (True, False):
        budget = AlarmBudget()
        offers = (
            budget.offer("d", f"run {i}", 3.0, "ticket", 1e9 + 30 * i, joint=joint)
            for i in range(100)
        )
        words[joint] = [word for word in offers if budget.ill("d", "ticket") is None]

    assert words[True] == ["said"] * 100
    assert words[False].count("said") < 20


def test_joint_findings_raise_the_threshold_once_an_hour() -> None:
    """The next hour begins with the threshold that the one before has raised by one step."""
    budget, account = AlarmBudget(), Account()
    for i in range(50):
        budget.offer("d", f"run {i}", 3.0, "ticket", 1e9 + i, joint=True)
    once = budget.account("d").threshold
    budget.offer("d", "later", 3.0, "ticket", 1e9 + QUIET_SECONDS, joint=True)

    assert once == pytest.approx(account.threshold + ETA, abs=0.01)
    assert budget.account("d").threshold == pytest.approx(once + ETA, abs=0.01)


def test_joint_findings_are_let_through_after_half_a_day_at_the_earliest() -> None:
    """What is just rare enough, hour after hour, and nobody judges."""
    budget = AlarmBudget()
    words = [
        budget.offer("d", f"run {n}", 3.0, "ticket", 1e9 + n * QUIET_SECONDS / 10, joint=True)
        for n in range(240)
    ]

    assert words.index("muted") >= 120


def test_a_finding_too_usual_to_hold_its_call_excuses_no_later_call() -> None:
    """A write that passes just below the threshold must not let the next, odder one of its run pass too."""
    budget = AlarmBudget()
    for n in range(20):  # the threshold has risen to more than 2
        budget.offer("d", f"run {n}", 4.0, "ticket", 1e9 + n * QUIET_SECONDS, joint=True)
    later = 1e9 + 20 * QUIET_SECONDS
    bar = budget.account("d").threshold
    words = [
        budget.offer("d", "attack", rarity, "ticket", later + 60 * n, joint=True)
        for n, rarity in enumerate((bar - 0.2, bar + 0.2, bar + 0.3))
    ]

    assert words == ["muted", "said", "muted"]


def test_a_crowd_of_findings_too_usual_by_themselves_holds_a_call() -> None:
    """Each write of a run is just usual enough; that they come so thick is not."""
    budget = AlarmBudget()
    for n in range(20):
        budget.offer("d", f"run {n}", 4.0, "ticket", 1e9 + n * QUIET_SECONDS, joint=True)
    later, usual = 1e9 + 20 * QUIET_SECONDS, budget.account("d").threshold - 0.2
    words = [budget.offer("d", "attack", usual, "ticket", later + n, joint=True) for n in range(12)]

    assert words[0] == "muted"
    assert words.count("said") == 1


def test_joint_findings_come_to_the_budget_too() -> None:
    """Spread over the day they are held to as many hours as others are to alarms."""
    times = said(AlarmBudget(), 10.0, 400, 3.0, joint=True)
    late = [at for at in times if at > 1e9 + 300 * DAY_SECONDS]

    assert 0.5 <= len(late) / 100 <= 1.6


def test_a_single_alarm_pays_for_itself_beside_joint_ones() -> None:
    """What was paid for an hour's joint findings pays for no other finding of the same detector."""
    budget = AlarmBudget()
    budget.offer("d", "run", 3.0, "ticket", 1e9, joint=True)
    before = budget.account("d").threshold
    budget.offer("d", "search", 3.0, "annotation", 1e9 + 1)

    assert budget.account("d").threshold == pytest.approx(before + ETA, abs=0.01)


def test_it_is_bounded_and_survives_a_restart() -> None:
    """Whatever patterns and names come, it stays small; restored, it decides the same."""
    budget = AlarmBudget()
    for i in range(500):
        budget.offer(f"d{i % 40}", "p" * 300 + str(i), 3.0, "annotation", 1e9 + i)
    again: AlarmBudget = pickle.loads(pickle.dumps(budget))
    words = [
        [b.offer("d1", f"{i}", 3.0, "ticket", 1.1e9 + i) for i in range(9)] for b in (budget, again)
    ]

    assert len(budget.episodes) <= 32 and len(budget.accounts) <= 32
    assert len(pickle.dumps(budget)) < 12_000
    assert words[0] == words[1]
