"""D20, rule: a call acts on what a result demanded, and nobody in charge has named it."""

from collections.abc import Iterable

from detectors.base import Detector, Json, rounded

# Where a call acts must be named by an attacker; what it acts on often, and how much hardly ever.
# Weights are ranks, not probabilities: they put the cases in order, and the mark lies in the gap.
_WEIGHT = {"email": 1.0, "account": 1.0, "url": 1.0, "host": 1.0, "id": 0.8, "path": 0.8}
_WEIGHT["name"] = 0.7  # of a person, a place, a thing: they are shorter, and more alike
_OTHER = 0.4  # amounts: they repeat by chance
# A call that only reads changes nothing, but a page that it asks for may be told a secret in its address.
_READ = {"url": 1.0, "host": 1.0}
_READ_OTHER = 0.5
_ORDERED = 0.9  # stands in a passage that gives orders
_MADE_UP = 0.65  # stands nowhere, and a result of this run gave orders: split, respelt or computed
_LISTED = 0.4  # stands in a result as data; 15 % of normal runs have that
_UNKNOWN = 0.2  # stands nowhere, and nobody gave orders: composed by the agent
_MARK = 0.6


class TaintedArgument(Detector):
    """Did the value that a call acts on come from the order, or only from what anybody may have written?

    Everything a run reads is data. A value of a call's arguments that neither the user nor the system
    named is weighed by where it was met: in a passage that tells its reader to do something, as plain
    data, or nowhere. It learns nothing, so nobody can teach it, and a value that was used before is not
    trusted for that. It fails on an attack that names no value, on one that lists its value and gives
    no order, and on orders that are not written in English.

    Notes
    -----
    Score in [0, 0.9], the highest of the values; 0 for a call without any, or with none but named ones.
    Fires from 0.6; warns where an address was merely listed. No state; 1 µs.

    Examples
    --------
    >>> taint = TaintedArgument()
    >>> taint.update([("ordered", "account")], True), taint.fires
    (0.9, True)
    >>> taint.update([("listed", "email"), ("unknown", "amount")], False), taint.fires, taint.warns
    (0.4, False, True)
    """

    bounds = (0.0, _ORDERED)
    threshold = _MARK

    def __init__(self) -> None:
        super().__init__()
        self.origin = ""
        """Of the value that weighs most; empty while none does."""
        self.klass = ""

    def update(
        self, values: Iterable[tuple[str, str]], orders: bool = False, reads: bool = False
    ) -> float:
        """Weigh the values of one call: origin (`listed`, `ordered`, `unknown`) and class of each.

        `orders`: whether anything that came into the run gave orders about values. `reads`: whether the
        tool only reads.
        """
        self.n += 1
        self.score, self.origin, self.klass = 0.0, "", ""
        base = {"ordered": _ORDERED, "listed": _LISTED}
        base["unknown"] = _MADE_UP if orders else _UNKNOWN
        for origin, klass in values:
            score = base[origin] * _WEIGHT.get(klass, _OTHER)
            score = rounded(score * _READ.get(klass, _READ_OTHER) if reads else score)
            if score > self.score:
                self.score, self.origin, self.klass = score, origin, klass
        self.fires = self.score >= _MARK
        self.warns = not self.fires and self.score >= _LISTED
        return self.score

    def _facts(self) -> dict[str, Json]:
        return {"observed": self.origin, "class": self.klass, "warn_at": _LISTED}
