"""D26, rule: a call acts on what another run wrote into memory out of text that anybody may have written."""

from collections.abc import Iterable

from detectors.base import Detector, Json

_ORDERED = 1.0  # it was written down from a passage that gave orders
_LISTED = 0.5  # from a result, as data: agents keep addresses that way every day
_CARRIES = frozenset({"url", "host"})  # where a call that only reads may carry something out to
_READ = 0.5  # other values of a call that only reads: it changes nothing
_MARK = 0.6


class MemoryInfluence(Detector):
    """Did a value come out of memory that no person and no system put there?

    An order that is met in one run and written into memory is plain data in the next: nothing there gives
    orders any more. So what a run writes into memory out of foreign text is remembered by its keyed hash,
    with that run, and a call of a later run that acts on it, unnamed by anybody in charge, is found. It
    learns nothing from use: a value that was used before is not trusted for that. It fails on what words
    spell out, on memory that is written and read as a plain tool, and on memory of another agent.

    Notes
    -----
    Score: 1 for a value that was ordered when it was written, 0.5 for one that was merely listed; half of it
    for a call that only reads, unless to a page. Fires from 0.6, warns from 0.5. No state; 0.2 µs.

    Examples
    --------
    >>> memory = MemoryInfluence()
    >>> memory.update([("ordered", "account")]), memory.fires
    (1.0, True)
    >>> memory.update([("listed", "email")]), memory.fires, memory.warns
    (0.5, False, True)
    """

    bounds = (0.0, 1.0)
    threshold = _MARK

    def __init__(self) -> None:
        super().__init__()
        self.origin = ""
        """Of the value that weighs most, when it was written; empty while none does."""
        self.klass = ""

    def update(self, values: Iterable[tuple[str, str]], reads: bool = False) -> float:
        """Weigh the values of one call: origin when written (`listed`, `ordered`) and class of each."""
        self.n += 1
        self.score, self.origin, self.klass = 0.0, "", ""
        for origin, klass in values:
            score = _ORDERED if origin == "ordered" else _LISTED
            if reads and klass not in _CARRIES:
                score *= _READ
            if score > self.score:
                self.score, self.origin, self.klass = score, origin, klass
        self.fires = self.score >= _MARK
        self.warns = not self.fires and self.score >= _LISTED
        return self.score

    def _facts(self) -> dict[str, Json]:
        return {"observed": self.origin, "class": self.klass, "warn_at": _LISTED}
