"""How odd so many hits among a few observations are, where the rate itself is only known from some. Pure.

The tail of the beta-binomial, which includes the doubt about the rate. `ErrorBaseline` and `MalformedResult`
share it.
"""

from math import exp, lgamma, log

from detectors.base import QUANTILES, Json, rounded

_LOG10 = log(10)


def beta(rate: float, strength: float) -> tuple[float, float]:
    """The two parameters of a rate that is worth so many observations.

    >>> beta(0.25, 20.0)
    (5.0, 15.0)
    """
    rate = min(max(rate, 0.5 / strength), 1 - 0.5 / strength)  # Jeffreys' floor
    return rate * strength, (1 - rate) * strength


def surprise(k: int, m: int, a: float, b: float, most: float) -> float:
    """-log10 of the probability of at least k hits among m, at most `most`.

    >>> surprise(9, 40, 0.5, 49.5, 16.0), surprise(1, 40, 0.5, 49.5, 16.0)
    (4.005452, 0.0)
    """
    if k <= 1 or k * (a + b) <= m * a:  # one hit is no news, nor is what was expected
        return 0.0
    term = total = 1.0  # relative to P(k); the terms fall, so the sum needs no care
    for j in range(k, m):
        term *= (m - j) * (a + j) / ((j + 1) * (b + m - j - 1))
        total += term
        if term < 1e-9:  # below the 6 digits that count
            break
    log_tail = _log_probability(k, m, a, b) + log(total)
    return rounded(min(max(-log_tail / _LOG10, 0.0), most))


def expected(m: int, a: float, b: float) -> Json:
    """Hits among m observations that the rate lets expect."""
    found: dict[str, Json] = {}
    total = 0.0
    for k in range(m + 1):
        total += exp(_log_probability(k, m, a, b))
        for name in [name for name, q in QUANTILES.items() if total >= q and name not in found]:
            found[name] = k
    return {name: found.get(name, m) for name in QUANTILES}


def _log_probability(k: int, m: int, a: float, b: float) -> float:
    """Log of the beta-binomial probability of k hits in m observations."""
    choose = lgamma(m + 1) - lgamma(k + 1) - lgamma(m - k + 1)
    odds = lgamma(a + k) + lgamma(b + m - k) - lgamma(a + b + m)
    return choose + odds - lgamma(a) - lgamma(b) + lgamma(a + b)
