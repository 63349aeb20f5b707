"""What siblings let expect of an agent that nobody knows yet: empirical Bayes, bounded. Pure.

siblings' shares or means ──► centre, and how much they differ ──► prior of the newcomer

A newcomer is one more draw from among its siblings. How much they differ says how much their experience is
worth: agents that are alike give a strong prior, agents that differ a weak one, which its own calls outweigh.
"""

from collections.abc import Sequence
from statistics import fmean, variance
from typing import NamedTuple

SIBLINGS_MIN = 3  # two tell no spread
WORTH_MIN, WORTH_MAX = 2.0, 50.0
"""Calls of its own that a prior is worth. From a parent take 20 to 50 (detection.md §6): 50 where siblings
are alike, fewer than 20 where they are not."""

# Before any is seen, siblings' usual durations are taken to differ by a fifth, with the weight of four more:
# three that are alike by chance would else make a normal law of one with two degrees of freedom.
_DIFFER, _DIFFER_WORTH = 0.2, 4.0
_WITHIN_MIN = 0.05**2  # a tool that always takes the same time; as `latency_baseline` has it
_WORTH_LEAST = 0.001  # somebody divides by it
_PULLED_MIN = 5  # of fewer, the outermost are too great a part
# Of a normal sample the spread without its two outermost is smaller by so much over its size (measured,
# 5 to 64 values, within 2 %).
_PULLED_LOSS = 3.3


class Share(NamedTuple):
    """Failures as a beta law: its mean, and how many calls it is worth."""

    mean: float
    worth: float


class Normal(NamedTuple):
    """A newcomer's mean of logarithms: expected, worth so many calls; and the variance of its calls."""

    mean: float
    worth: float
    variance: float


def share(calls: Sequence[float], failures: Sequence[float]) -> Share:
    """A newcomer's share of failures, by each sibling's calls and failures.

    The variance of the siblings' shares less what chance brings to such counts is how much they differ
    (method of moments); the newcomer's own, and the doubt about the mean, come on top. Each sibling counts
    as one, however many calls it made; of five or more, the highest and the lowest are pulled in to
    their neighbours, so that no single one moves the prior.

    References
    ----------
    [^1]: Kleinman (1973). Proportions with extraneous variance: single and independent samples. JASA 68.
    [^2]: Efron, Morris (1972). Limiting the risk of Bayes and empirical Bayes estimators. JASA 67.

    Examples
    --------
    >>> share([200] * 7, [4, 3, 5, 4, 2, 6, 4])
    Share(mean=0.020343, worth=50.0)
    >>> alike, odd = share([200] * 7, [4, 3, 5, 4, 2, 6, 200]), share([200] * 3, [2, 20, 60])
    >>> alike.mean < 0.03, odd.worth < 10
    (True, True)
    """
    found = [x / n for x, n in zip(failures, calls, strict=True)]
    pulled, loss = _pulled(found)
    total = sum(calls)
    # Half a failure in a call nobody saw (Jeffreys): never having failed is no promise.
    mean = (fmean(pulled) * total + 0.5) / (total + 1)
    likely = mean * (1 - mean)
    between = max(variance(pulled) / loss - fmean(likely / n for n in calls), 0.0)
    spread = between * (1 + 1 / len(found)) + likely / total
    return Share(round(mean, 6), round(_bounded(likely / spread - 1), 3))


def normal(means: Sequence[float], variances: Sequence[float], calls: Sequence[int]) -> Normal:
    """A newcomer's mean of logarithms, by each sibling's mean, variance and number of calls.

    As `share`: worth is the variance of one's calls over that of the means; the latter begins with what is
    usual (scaled inverse chi-square).

    References
    ----------
    [^1]: Gelman et al. (2013). Bayesian Data Analysis, 3rd ed., §2.6 and §5.4.

    Examples
    --------
    >>> normal([0.0, 0.1, -0.1, 0.05, -0.05], [0.04] * 5, [200] * 5)
    Normal(mean=0.0, worth=1.412, variance=0.04)
    """
    pulled, loss = _pulled(means)
    within = max(fmean(_pulled(variances)[0]), _WITHIN_MIN)
    chance = fmean(within / n for n in calls)
    between = max(variance(pulled) / loss - chance, 0.0)
    degrees = len(means) - 1
    between = (degrees * between + _DIFFER_WORTH * _DIFFER**2) / (degrees + _DIFFER_WORTH)
    spread = between * (1 + 1 / len(means)) + chance / len(means)
    worth = max(min(within / spread, WORTH_MAX), _WORTH_LEAST)
    return Normal(round(fmean(pulled), 6), round(worth, 3), round(within, 9))


def _bounded(worth: float) -> float:
    return min(max(worth, WORTH_MIN), WORTH_MAX)


def _pulled(values: Sequence[float]) -> tuple[list[float], float]:
    """The values with their outermost pulled in, and which part of the spread is left."""
    ranked = sorted(values)
    if len(ranked) < _PULLED_MIN:
        return ranked, 1.0
    ranked[0], ranked[-1] = ranked[1], ranked[-2]
    return ranked, 1 - _PULLED_LOSS / len(ranked)
