"""D09, statistical: a tool's results lack the form that was declared for them. Annotates."""

from detectors.base import Json
from detectors.usual_share import UsualShare


class MalformedResult(UsualShare):
    """Misfits among the last 40 results of a tool against the share that is usual for it.

    A tool that breaks seldom says so: it answers an error page, leaves a field out, or writes an amount as
    text, and the agent goes on with that. Results teach the share only when they leave the window, and once
    live not while the score is above the threshold: so what stays broken stays an alarm, until somebody
    mends the tool or its declaration. It fails where a tool has lacked its form from the first result on,
    since then that is its habit.

    Notes
    -----
    Score: -log10 of the beta-binomial tail in [0, 16]; 0 for the first 50 results, no alarm for 100 more.
    Window and memory are those of `ErrorBaseline`. 0.3 kB; 1 µs, 3 µs while more is malformed than expected.

    Examples
    --------
    >>> results = MalformedResult()
    >>> stream = [False] * 400 + [i % 3 == 0 for i in range(60)]
    >>> [i for i, wrong in enumerate(stream) if results.update(wrong, "missing", "total") and results.fires]
    [409]
    >>> results.evidence()["field"], results.evidence()["observed"]
    ('total', 13)
    """

    def __init__(self, prior: float = 0.01, quiet: int = 50) -> None:
        super().__init__(prior, quiet)
        self._wrong = self._field = self._example = ""

    def update(self, wrong: bool, what: str = "", field: str = "", example: str = "") -> float:
        """Take one result: whether it lacks its form; where it does, in what, and a hash to find it by."""
        if wrong:
            self._wrong, self._field, self._example = what, field, example
        return self._take(wrong)

    def _facts(self) -> dict[str, Json]:
        return super()._facts() | {
            "wrong": self._wrong,
            "field": self._field,
            "example": self._example,
        }
