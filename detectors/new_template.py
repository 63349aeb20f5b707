"""D15, statistical: a tool answers in a way in which it has never answered, and again. Annotates."""

from math import log10
from zlib import crc32

from detectors.base import Json, StatisticalDetector, rounded

_KNOWN_MAX = 64  # kinds of one tool; the one met longest ago goes
_FRESH_MAX = 8  # kinds that came lately and may come again
_WINDOW = 40  # results within which it has to, as failures and misfits are counted
_REPEATS = 3  # once is an odd answer, twice chance; at 1 in 1,000 three in 40 are one in 100,000
_SEEN_MAX = 2000  # then all counts are halved: what a tool was like long ago fades


class NewTemplate(StatisticalDetector):
    """Kinds of answers of a tool: masked texts of errors, fields and types of results, all by their hash.

    How probable a kind is that was never met, Good and Turing tell from those met once: as many of all
    answers. Where that is below 1 in 50, a kind that comes for the first time and three times within 40
    answers is news: another error than all before, or a result of another make. A tool whose answers are
    all different has only kinds met once, so it is never heard of. It fails where a new failure looks like
    an old one, and at tools of less than 200 answers.

    Parameters
    ----------
    quiet
        Answers after an alarm without another one, >= 0.

    Notes
    -----
    Score: -log10 of the probability of a kind never met, when one has come for the third time, else 0;
    in [0, 4]. 0.7 kB; 0.7 µs.

    Examples
    --------
    >>> kinds = NewTemplate()
    >>> answers = ["found", "nothing"] * 150 + ["found", "locked"] * 10
    >>> [i for i, kind in enumerate(answers) if kinds.update(kind) and kinds.fires]
    [305]

    References
    ----------
    [^1]: Good (1953). The population frequencies of species and the estimation of population parameters.
    [^2]: He, Zhu, Zheng, Lyu (2017). Drain: an online log parsing approach with fixed depth tree. ICWS.
    """

    bounds = (0.0, 4.0)
    n0 = 100
    threshold = 1.69897  # 1 in 50: below it the learning of novelties is over

    def __init__(self, quiet: int = 50) -> None:
        super().__init__(quiet)
        self.fresh = False
        """Whether the newest answer is of a kind that first came within the last 40, when all was known."""
        self._known: dict[int, int] = {}  # how often, by 32 bits of the kind; the newest last
        self._fresh: dict[
            int, tuple[int, int, float]
        ] = {}  # when first met, how often, how probable
        self._seen = self._once = 0
        self._observed, self._repeats = 1.0, 0

    def update(self, kind: str) -> float:
        """Take the hash of one answer's kind."""
        key = crc32(kind.encode())
        self.n += 1
        times = self._known.pop(key, 0)
        self.score, self.fresh = 0.0, False
        if not times:
            self._first(key)
        else:
            self._again(key)
            self._once -= times == 1 and self._once > 0
        self._known[key] = min(times + 1, 2)
        if len(self._known) > _KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._seen += 1
        if self._seen >= _SEEN_MAX:
            self._seen, self._once = self._seen // 2, self._once // 2
        self._decide(self.score >= self.threshold)
        return self.score

    def _first(self, key: int) -> None:
        share = (self._once + 1) / (self._seen + 1)
        self._once += 1
        self.fresh = self.warm and -log10(share) >= self.threshold
        if self.fresh:
            self._fresh[key] = (self.n, 1, share)
            if len(self._fresh) > _FRESH_MAX:
                del self._fresh[next(iter(self._fresh))]

    def _again(self, key: int) -> None:
        first, times, share = self._fresh.pop(key, (0, 0, 1.0))
        if not times or self.n - first >= _WINDOW:
            return
        self.fresh = True
        self._fresh[key] = (first, times + 1, share)
        if times + 1 == _REPEATS:
            self.score = rounded(-log10(share))
            self._observed, self._repeats = share, self.n - first + 1

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": rounded(self._observed),
            "times": _REPEATS,
            "within": self._repeats,
            "kinds": len(self._known),
        }
