"""What a contender's scores come to: at its own threshold, and at the best one. Pure."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.benchmarks.detection.nab_tree import PROFILES, Floats, Scorer, Truth
from tests.benchmarks.promises import Json

_THRESHOLDS = 150  # that many quantiles of the scores are tried, and the highest scores


def paused(scores: Floats, threshold: float, quiet: int) -> Floats:
    """1 in the rows that alarm: at the threshold or above, and not within `quiet` rows of another.

    >>> paused(np.array([0.0, 2.0, 3.0, 1.0, 2.0]), 2.0, quiet=2).tolist()
    [0.0, 1.0, 0.0, 0.0, 1.0]
    """
    alarms, last = np.zeros(len(scores)), -quiet - 1
    for i in np.flatnonzero(scores >= threshold):
        if i - last > quiet:
            alarms[i], last = 1.0, int(i)
    return alarms


def leading(scores: Floats, quiet: int) -> Floats:
    """Scores of the rows that beat the `quiet` rows before them, 0 elsewhere.

    The scorer knows no pause between alarms; whatever threshold it tries, these rows hold each alarm
    that a pause would leave, and some more.

    >>> leading(np.array([1.0, 3.0, 2.0, 2.5, 0.0]), quiet=2).tolist()
    [1.0, 3.0, 0.0, 0.0, 0.0]
    """
    found = scores.copy()
    for back in range(1, min(quiet, len(scores) - 1) + 1):
        found[back:][scores[back:] <= scores[:-back]] = 0.0
    return found


class Judge:
    """One tree's truth, and what alarms on it are worth."""

    def __init__(self, scorer: Scorer, files: Mapping[str, Any], truth: Mapping[str, Truth]):
        self.scorer, self.files, self.truth = scorer, files, truth

    def at(self, alarms: Mapping[str, Floats]) -> Json:
        """Scores of three profiles, windows hit, false alarms."""
        found: Json = {
            profile: round(self.scorer.score(self.files, self.truth, alarms, profile), 1)
            for profile in PROFILES
        }
        hits = false = rows = 0
        for name, truth in self.truth.items():
            told = (alarms[name] > 0) & truth.scored
            hits += len(set(truth.window[told & (truth.window >= 0)].tolist()))
            false += int((told & (truth.window < 0)).sum())
            rows += int(truth.scored.sum())
        return found | {
            "windows_hit": hits, "false_alarms": false,
            "false_per_1000": round(1000 * false / max(rows, 1), 2),
        }  # fmt: skip

    def best(self, scores: Mapping[str, Floats], quiet: int) -> Json:
        """The same at the threshold, one for all files, that scores highest."""
        every = np.concatenate(list(scores.values()))
        shares = 1 - np.geomspace(1e-4, 0.3, _THRESHOLDS)
        positive = np.unique(every[every > 0])
        if len(positive) > 2 * _THRESHOLDS:
            quantiles = np.quantile(every[every > 0], shares)
            positive = np.concatenate([quantiles, positive[-_THRESHOLDS:]])
        tried = positive if len(positive) else np.ones(1)

        def worth(threshold: float) -> float:
            alarms = {name: paused(one, threshold, quiet) for name, one in scores.items()}
            return self.scorer.score(self.files, self.truth, alarms)

        threshold = max((float(one) for one in tried), key=worth)
        alarms = {name: paused(one, threshold, quiet) for name, one in scores.items()}
        return {"threshold": round(threshold, 4)} | self.at(alarms)

    def error(self, alarms: Mapping[str, Floats]) -> float:
        """Standard error of the standard score over files, by leaving out one at a time."""
        names = [name for name, file in self.files.items() if file[1]]
        if len(names) < 2:
            return 0.0
        left = []
        for out in names:
            files = {name: file for name, file in self.files.items() if name != out}
            truth = {name: one for name, one in self.truth.items() if name != out}
            left.append(self.scorer.score(files, truth, alarms))
        spread = np.var(left) * (len(left) - 1)
        return round(float(np.sqrt(spread)), 1)

    def groups(self, alarms: Mapping[str, Floats]) -> Json:
        """The same for each folder of the tree."""
        found = {}
        for group in sorted({name.split("/")[0] for name in self.files}):
            own = [name for name in self.files if name.split("/")[0] == group]
            part = Judge(
                self.scorer, {n: self.files[n] for n in own}, {n: self.truth[n] for n in own}
            )
            found[group] = part.at(alarms)
        return found
