"""D16, rule: a call whose owner has said what must go before it, and that has not. Blocks that call."""

from collections.abc import Collection, Sequence

from detectors.backoff import brief
from detectors.base import Detector, Json

_NAMED_MAX = 8  # steps that the evidence names; the score counts all


class SkippedStep(Detector):
    """Has everything gone well in this run that must go before this call?

    It learns nothing and needs no history: the order is declared (`requires` of a tool). A call that waits
    for its verdict is blocked, and may be made again once the step has gone well; one that does not wait can
    only be found. It fails on a step that goes well in name alone, and on one that another agent of the trace
    has taken: each agent answers for its own run.

    Notes
    -----
    Score: steps that lack, in [0, 64]. From 1 it fires where the call waits, and warns where it does not. No
    state; 0.4 µs.

    Examples
    --------
    >>> order = SkippedStep()
    >>> order.update(["verify"], ["find", "verify"]), order.fires
    (0.0, False)
    >>> order.update(["verify"], ["find"]), order.fires, order.evidence()["observed"]
    (1.0, True, ['verify'])
    """

    bounds = (0.0, 64.0)
    threshold = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.lacking: tuple[str, ...] = ()
        """What lacks of the latest call, as it was declared."""

    def update(self, requires: Sequence[str], well: Collection[str], held: bool = True) -> float:
        """Compare what a call requires with what has gone well in its run; `held`: it waits."""
        self.n += 1
        self.lacking = tuple(name for name in requires if name not in well)
        self.score = float(min(len(self.lacking), 64))
        self.fires = held and bool(self.lacking)
        self.warns = not held and bool(self.lacking)
        return self.score

    def _facts(self) -> dict[str, Json]:
        return {"observed": [brief(name) for name in self.lacking[:_NAMED_MAX]]}
