"""Which findings of statistical detectors are said: a budget per detector and agent, one alarm an episode.

Shared by all statistical detectors of one agent; no detector itself. Rules and versions never come here.
"""

from dataclasses import dataclass, field
from math import exp, log10
from typing import Literal

from detectors.base import DAY_SECONDS, Json, rounded

Level = Literal["page", "ticket", "annotation"]
LEVELS: dict[Level, float] = {"page": 1 / 7, "ticket": 1.0, "annotation": 20.0}
"""Alarms of one agent a day: a person called once a week, asked once a day, notes to be read."""

ETA = 0.15  # measured: at .6 to 1 one true alarm masks the next
START_MAX = 4.0  # what is ten times rarer still speaks at once
# Too many alarms correct themselves at once, too few only slowly. Or what the pace asks for: at 200,000
# steps a day, one in a thousand is nothing.
START = 1.2
LOWEST, HIGHEST = 1.0, 6.0  # -log10 p
WEIGHT_MIN = 0.05  # nobody's labels may silence a detector
QUIET_SECONDS = 3600.0  # one episode of one pattern is one alarm
BEYOND = 1.0  # in -log10 p: ten times rarer than the rarest of its episode speaks again at once
CROWD_SECONDS, CROWD_MIN = 60.0, 3  # one odd step is no incident, nor are two
HEALTH_DAYS = 3.0  # over which a detector's health is judged
SICK, WELL = 5.0, 2.0  # times its level's whole budget, in episodes a day
SHOWN_MIN = 20.0  # episodes in that time; a fault of an hour is no illness
SURPRISES = (8.0, 16.0)  # where scores that are -log10 p end
_USUAL = 3.0
_PATTERNS_MAX = 32
_DETECTORS_MAX = 32
_PATTERN_CHARACTERS = 48


def surprise(evidence: dict[str, Json], score: float, threshold: float, highest: float) -> float:
    """-log10 p of a finding: from its `p`; else its score, where `highest` shows that it is one.

    Other scores (shares, ratios, deviations) count by how far they pass their threshold, which is taken
    as one in a thousand.

    >>> surprise({"p": 0.01}, 0.9, 0.5, 1.0), surprise({}, 4.2, 3.0, 16.0), surprise({}, 9.0, 6.0, 15.0)
    (2.0, 4.2, 3.5)
    """
    p = evidence.get("p")
    if isinstance(p, int | float):
        return rounded(-log10(min(max(p, 1e-16), 1.0)))
    if highest in SURPRISES:
        return score
    return rounded(_USUAL + max(score / threshold - 1, 0.0) if threshold > 0 else _USUAL)


@dataclass(slots=True)
class Episode:
    """One pattern of one detector: since when, the rarest of it, and whether it was said."""

    since: float
    highest: float
    said: bool = False
    minute: float = 0.0  # when the latest minute of findings began
    count: int = 0  # findings in it
    crowded: bool = False  # that they came so thick was said


@dataclass(slots=True)
class Account:
    """One detector's part of the budget of one agent."""

    threshold: float = START
    at: float = 0.0  # record time to which the threshold was brought
    began: float = 0.0
    heard: float = 0.0  # findings of the last days, fading
    offered: float = 0.0  # episodes of them
    muted: float = 0.0
    demoted: bool = False
    hour: float = -QUIET_SECONDS  # when the hour began whose joint findings are one alarm
    bar: float = START  # the threshold then
    charged: bool = False  # whether that alarm has raised the threshold
    right: int = (
        0  # alarms that people called real, and false; a record of theirs alone changes these
    )
    wrong: int = 0

    @property
    def precision(self) -> float:
        """Mean of Beta(1, 1) and the labels."""
        return (1 + self.right) / (2 + self.right + self.wrong)

    def turned(self, now: float) -> bool:
        """Whether a new hour of joint findings begins."""
        if now < self.hour + QUIET_SECONDS:
            return False
        self.hour, self.bar, self.charged = now, self.threshold, False
        return True

    def charge(self, joint: bool) -> None:
        """An alarm was said: the threshold rises, by joint ones once an hour."""
        if not (joint and self.charged):
            self.threshold = min(self.threshold + ETA, HIGHEST + ETA)
        self.charged |= joint


@dataclass(slots=True)
class AlarmBudget:
    """All statistical detectors of one agent.

    The threshold on -log10 p rises by `ETA` with each alarm, and falls by `ETA` times the detector's
    budget a day: so in the long run each detector says as much as its budget, whatever its scores'
    law is. What a detector does not use is not given to others. Time is the record's: a fall per day
    is a fall per event times the events of a day.

    An episode speaks again before its hour is over if a finding is ten times rarer than all before, and
    once if findings come as thick as its usual ones hardly would by chance: a false alarm must not
    hide the true one that follows it.

    Findings that let calls wait are judged run by run, and all of an hour are one alarm to the budget:
    they meet the threshold of the hour's beginning, and raise it once. Else whoever tries a dozen times
    in a row would be let through the next time, and for weeks.

    A detector that has more to say than any budget, for days, is ill: what it says is logged and
    suggests nothing until it is well again.

    Notes
    -----
    Asked only when a detector fires, so a step pays nothing. State at most 4 kB; about 3 µs.

    Examples
    --------
    >>> budget = AlarmBudget()
    >>> budget.offer("latency_baseline", "search", 4.5, "annotation", now=0.0)
    'said'
    >>> budget.offer("latency_baseline", "search", 4.8, "annotation", now=60.0)
    'muted'
    >>> budget.offer("latency_baseline", "search", 5.6, "annotation", now=90.0)
    'said'
    """

    since: float = 0.0  # record time of the agent's first step
    accounts: dict[str, Account] = field(default_factory=dict)
    episodes: dict[str, Episode] = field(default_factory=dict)

    def offer(
        self,
        detector: str,
        pattern: str,
        rarity: float,
        level: Level,
        now: float,
        n: int = 0,
        joint: bool = False,
    ) -> Literal["said", "logged", "muted"]:
        """Whether a finding of so much -log10 p is said, only logged, or not said at all.

        `n` is how often the detector was asked so far, where its p is one; 0 where nobody knows. `joint`
        findings of an hour are one alarm, whatever their patterns.
        """
        new, account = detector not in self.accounts, self.account(detector)
        if new and n and now > self.since > 0:
            a_day = n / (now - self.since) * DAY_SECONDS
            fair = log10(a_day / self.target(detector, level))  # were its p exact
            account.threshold = rounded(min(max(fair, START), START_MAX))
        self._fade(account, self.target(detector, level), now)
        account.heard += 1
        begins = not joint or account.turned(now)
        key = f"{detector}/{pattern[:_PATTERN_CHARACTERS]}"
        episode = self._lasting(key, now)
        beyond = False
        if episode is None:
            account.offered += begins
            episode = self._begin(key, now, rarity)
        else:
            crowd = 0.0 if episode.crowded else _crowd(episode, account, now)
            if max(rarity, crowd) >= episode.highest + BEYOND:
                episode.crowded |= crowd > rarity
                rarity = max(rarity, crowd)
                beyond = episode.said
            elif episode.said or not joint:
                return "muted"
            # Else: what was too usual to let its own call wait excuses none of the next ones.
            episode.highest = max(rarity, episode.highest)
        # Beyond the clip all are alike, and the threshold may pass it by one step: so a budget holds
        # the detector that is sure of everything, too.
        bar = account.bar if joint else account.threshold
        if not beyond and min(rarity, HIGHEST) <= bar:
            account.muted += begins
            return "muted"
        episode.said = True
        account.charge(joint)
        return "logged" if account.demoted else "said"

    def account(self, detector: str) -> Account:
        """The detector's account; the first finding opens it."""
        account = self.accounts.get(detector)
        if account is None:
            account = self.accounts[detector] = Account()
            if len(self.accounts) > _DETECTORS_MAX:
                del self.accounts[next(iter(self.accounts))]
        return account

    def target(self, detector: str, level: Level) -> float:
        """Alarms a day that this detector may say: its share, by precision, among those that speak."""
        weights = {name: max(one.precision, WEIGHT_MIN) for name, one in self.accounts.items()}
        share = weights[detector] / sum(weights.values()) if detector in weights else 1.0
        return LEVELS[level] * max(share, WEIGHT_MIN)

    def ill(self, detector: str, level: Level) -> bool | None:
        """Whether the detector has just fallen ill (True) or is well again (False); None: no change."""
        account = self.account(detector)
        a_day = account.offered / HEALTH_DAYS
        if account.demoted:
            if a_day < WELL * LEVELS[level]:
                account.demoted = False
                return False
        elif account.offered >= SHOWN_MIN and a_day > SICK * LEVELS[level]:
            account.demoted = True
            return True
        return None

    def facts(self, detector: str, level: Level) -> dict[str, Json]:
        """What an alarm record says of the budget, and a signal of the detector's health."""
        account = self.account(detector)
        return {
            "level": level,
            "budget_a_day": rounded(self.target(detector, level)),
            "episodes_a_day": rounded(account.offered / HEALTH_DAYS),
            "muted": rounded(min(account.muted / account.offered, 1.0)) if account.offered else 0.0,
            "threshold": rounded(min(account.threshold, HIGHEST)),
            "precision": rounded(account.precision),
        }

    def _fade(self, account: Account, target: float, now: float) -> None:
        """Time passes: the threshold falls, the counts fade."""
        account.began = account.began or now
        days = max(now - account.at, 0.0) / DAY_SECONDS if account.at else 0.0
        account.at = max(account.at, now)
        account.threshold = max(account.threshold - ETA * target * days, LOWEST)
        left = exp(-days / HEALTH_DAYS)
        account.heard *= left
        account.offered *= left
        account.muted *= left

    def _lasting(self, key: str, now: float) -> Episode | None:
        episode = self.episodes.get(key)
        return episode if episode is not None and now < episode.since + QUIET_SECONDS else None

    def _begin(self, key: str, now: float, rarity: float) -> Episode:
        self.episodes.pop(key, None)
        episode = self.episodes[key] = Episode(now, rarity, minute=now, count=1)
        if len(self.episodes) > _PATTERNS_MAX:
            del self.episodes[next(iter(self.episodes))]
        return episode


def _crowd(episode: Episode, account: Account, now: float) -> float:
    """-log10 of the chance of so many findings within a minute, at the usual pace of the detector."""
    if now >= episode.minute + CROWD_SECONDS:
        episode.minute, episode.count = now, 0
    episode.count += 1
    if episode.count < CROWD_MIN:
        return 0.0
    known = min(max(now - account.began, QUIET_SECONDS), HEALTH_DAYS * DAY_SECONDS)
    usual = max(account.heard - episode.count, 1.0) / known * CROWD_SECONDS
    if usual >= episode.count:
        return 0.0
    chance = exp(-usual)
    for k in range(1, episode.count + 1):
        chance *= usual / k
    return rounded(-log10(max(chance, 1e-16)))
