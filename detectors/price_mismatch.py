"""D07, statistical: tokens of a model cost more, or less, than they did at first. Annotates."""

from math import exp, log, sqrt

from detectors.base import SHADOW_SCORES, Json, StatisticalDetector, rounded

_FADING = (
    0.2  # of an EWMA control chart, for lasting changes of about a deviation (Lucas, Saccucci 1990)
)
_UNIT = sqrt((2 - _FADING) / _FADING)  # the mean's own standard deviation is this much smaller
_CLIP = 5.0  # standard deviations; two dear calls in a row are no other price, three are
_SPREAD_MIN = 0.05  # 5 %: rounded costs and a cached prefix must not alarm on a hair
_APART = 1e-3  # where tokens in and out rise and fall together, their prices can't be told apart
_LARGEST = 1e12  # no true amount; squares of squares of it stay finite
_MILLION = 1e6  # tokens, as price lists have it


class PriceMismatch(StatisticalDetector):
    """Cost of calls against what their tokens cost in the first 120, as a moving mean of log ratios.

    No price list is needed: the price of a token in and of one out are fitted to the first calls (least
    squares of the relative error), then frozen, so that a price that creeps up is found as well. A call
    with another share of output is no mismatch. What it can't tell: whether the price has changed, or
    another model answers under the same name. It fails where most of the cost is no matter of tokens
    (images, searches): the spread is then so wide that only multiples stand out.

    Parameters
    ----------
    quiet
        Calls after an alarm without another one, >= 0. The reference stays, so a changed price is said again.

    Notes
    -----
    Score: deviations of the moving mean, in [0, 15], both ways; 0 for the first 20 calls, no alarm for
    100 more. Calls without cost or tokens are left out. 0.3 kB; 1 µs, 2 µs while it learns.

    Examples
    --------
    >>> price = PriceMismatch()
    >>> calls = [((2e-6 if i < 200 else 4.2e-6) * (900 + i % 7 * 100), 900 + i % 7 * 100) for i in range(220)]
    >>> [i for i, (usd, tokens) in enumerate(calls) if price.update(usd, tokens, 0) and price.fires]
    [202]
    """

    bounds = (0.0, 15.0)
    n0 = 20
    threshold = 6.0  # a chart's usual 3, doubled: costs of neighbouring calls go together

    def __init__(self, quiet: int = 1000) -> None:
        super().__init__(quiet)
        self.input_usd = self.output_usd = 0.0
        """Of one token, as the first calls show it."""
        self._spread = _SPREAD_MIN
        self._sums = (0.0,) * 5  # of x*x, x*y, y*y, x, y; tokens in and out for a dollar
        self._usual = (
            0.0  # log ratio of the reference: where costs scatter, the fit comes out too low
        )
        self._latest = 0.0  # log ratio of the latest call, to what is usual
        self._mean = 0.0  # of the deviations, in standard deviations

    def update(self, cost_usd: float, input_tokens: int, output_tokens: int) -> float:
        """Take what one call has cost, and the tokens that it used."""
        self.fires = False
        if not (
            0 < cost_usd <= _LARGEST
            and 0 <= input_tokens <= _LARGEST
            and 0 <= output_tokens <= _LARGEST
            and input_tokens + output_tokens > 0
        ):
            return self.score
        expected = self.input_usd * input_tokens + self.output_usd * output_tokens
        if expected > 0:
            self._latest = log(cost_usd / expected) - self._usual
            z = self._latest / self._spread
            z = min(max(z, -_CLIP), _CLIP)
            self._mean += _FADING * (z - self._mean)
            self.score = rounded(abs(self._mean) * _UNIT)
            near = self._usual + z * self._spread  # what is further out teaches no more
            cost_usd = expected * exp(near)
        if self.n < self.n0 + SHADOW_SCORES:
            if expected > 0:
                self._usual += (near - self._usual) / (self.n - self.n0 + 1)
            self._learn(input_tokens / cost_usd, output_tokens / cost_usd)
        self.n += 1
        self._decide(self.score >= self.threshold)
        return self.score

    def _learn(self, x: float, y: float) -> None:
        xx, xy, yy, sx, sy = self._sums
        self._sums = xx, xy, yy, sx, sy = xx + x * x, xy + x * y, yy + y * y, sx + x, sy + y
        n = self.n + 1
        if n < self.n0:
            return
        a, b = _fitted(xx, xy, yy, sx, sy)
        error = n - 2 * (a * sx + b * sy) + a * a * xx + 2 * a * b * xy + b * b * yy
        self.input_usd, self.output_usd = a, b
        self._spread = max(sqrt(max(error, 0.0) / n), _SPREAD_MIN)

    def _facts(self) -> dict[str, Json]:
        known, scale = self.n >= self.n0, _MILLION * exp(self._usual)
        return {
            "observed": rounded(exp(self._latest)) if known else None,
            "expected": 1.0 if known else None,
            "input_usd_per_million": rounded(self.input_usd * scale),
            "output_usd_per_million": rounded(self.output_usd * scale),
            "spread": rounded(self._spread),
        }


def _fitted(xx: float, xy: float, yy: float, sx: float, sy: float) -> tuple[float, float]:
    """Prices of a token in and out, neither below 0; one for both where they can't be told apart."""
    apart = xx * yy - xy * xy
    if apart <= _APART * xx * yy:
        both = (sx + sy) / (xx + 2 * xy + yy)
        return both, both
    a, b = (sx * yy - sy * xy) / apart, (sy * xx - sx * xy) / apart
    if a < 0:
        return 0.0, sy / yy
    return (sx / xx, 0.0) if b < 0 else (a, b)
