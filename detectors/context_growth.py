"""D06, rule: each turn of a run is given far more tokens than those before. Annotates."""

from detectors.base import Detector, Json, rounded

_TURNS_MIN = 3  # a mean of fewer turns says nothing
_ROW = 3  # one long page that is read and dropped is no growth
_LARGEST = 10**12  # no true amount
_RATIO_MAX = 1000.0


class ContextGrowth(Detector):
    """Three turns running of more than 3 times the mean of all earlier turns of the run.

    A conversation grows by about the same with each turn: the newest then lies below twice the mean of
    those before, however long it gets. One that grows with the square of the turns lies at 3 times it. So
    from 3 on it is no conversation any more: results that are never dropped, a context that holds itself.
    It fails where a run mixes short and long questions, one kind after the other.

    Notes
    -----
    Score: turn / mean of earlier turns in [0, 1000]; 0 for the first 3. In 2,000 made runs of 30 turns that
    grow steadily, by steps that scatter, a limit of 2 fires in 45 % and this one in none. 4 numbers; 0.4 µs.

    Examples
    --------
    >>> growth = ContextGrowth()
    >>> turns = [1000 + 400 * i for i in range(10)] + [40_000 + 400 * i for i in range(4)]
    >>> [i for i, tokens in enumerate(turns) if growth.update(tokens) and growth.fires]
    [12]
    """

    bounds = (0.0, _RATIO_MAX)
    threshold = 3.0

    def __init__(self) -> None:
        super().__init__()
        self._sum = 0
        self._row = 0
        self._tokens = 0

    def update(self, tokens: int) -> float:
        """Take the tokens of one turn, in and out together; none, or too many to be true, is left out."""
        self.fires = False
        if not 0 < tokens <= _LARGEST:
            return self.score
        mean = self._sum / self.n if self.n >= _TURNS_MIN else 0.0
        self.score = rounded(min(tokens / mean, _RATIO_MAX)) if mean else 0.0
        self._row = self._row + 1 if self.score > self.threshold else 0
        self.fires = self._row == _ROW
        self._tokens = tokens
        self._sum += tokens
        self.n += 1
        return self.score

    def _facts(self) -> dict[str, Json]:
        earlier = self._sum - self._tokens
        return {
            "observed": self._tokens,
            "expected": rounded(earlier / (self.n - 1)) if self.n > 1 else None,
            "running": self._row,
        }
