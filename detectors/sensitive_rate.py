"""D23, statistical: a tool is given sensitive data more often than it ever was. Annotates."""

from collections.abc import Collection

from detectors.base import Json
from detectors.usual_share import UsualShare

_SHOWN_MAX = 8


class SensitiveRate(UsualShare):
    """Calls of a tool that carry sensitive data, among its last 40, against the share that is usual for it.

    A mailer carries addresses in each call and a ticket tool now and then; neither is wrong, so no rule can
    tell. What is news is a tool that begins to. Whether a call carries any is counted, not how much of it. It
    fails where a tool has carried such data from its first call on, on a leak within a few calls (`Leakage`
    sees the classes of each), and on data that has no form.

    Notes
    -----
    Score: -log10 of the beta-binomial tail in [0, 16]; 0 for the first 50 calls, no alarm for 100 more.
    Window and memory are those of `ErrorBaseline`. 0.3 kB; 1 µs, 3 µs while more carry some than expected.

    Examples
    --------
    >>> calls = SensitiveRate()
    >>> stream = [()] * 400 + [("email",) if i % 3 == 0 else () for i in range(60)]
    >>> [i for i, classes in enumerate(stream) if calls.update(classes) and calls.fires]
    [409]
    >>> calls.evidence()["classes"], calls.evidence()["observed"]
    (['email'], 13)
    """

    def __init__(self, prior: float = 0.01, quiet: int = 50) -> None:
        super().__init__(prior, quiet)
        self._classes: tuple[str, ...] = ()

    def update(self, classes: Collection[str]) -> float:
        """Take the classes of sensitive data that one call carries; mostly none."""
        if classes:
            self._classes = tuple(classes)[:_SHOWN_MAX]
        return self._take(bool(classes))

    def _facts(self) -> dict[str, Json]:
        return super()._facts() | {"classes": list(self._classes)}
