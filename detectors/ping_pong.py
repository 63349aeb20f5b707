"""D12, rule: agents of one trace hand the same work to and fro, or to ever more of them."""

from detectors.base import RATIO_MAX, Detector, Json, rounded

_WARN, _ACT = 3, 4  # rounds, as of the exact loop: what one agent may not do, two may not do for it
AGENTS_MOST = (
    32  # of one trace; a tree of three below three below three has 40 and is no answer to anybody
)


class PingPong(Detector):
    """The same handoff again: from one agent to another, with the same reasoning after the same call.

    Join counts: a cycle of up to 4 handoffs gone through so often, or one of them so often among the last
    32 of the trace. Who hands over with other thoughts or another result, as a writer and a critic do, is
    never counted, so it fails where each round says a little else. The pattern is stopped: each agent of it
    at its own fourth handoff, whatever tools it uses.

    Notes
    -----
    Score: the greater of rounds and agents through their limits; fires from 1, and warns at three rounds.
    No state of its own; 0.5 µs.

    Examples
    --------
    >>> game = PingPong()
    >>> [(game.update(rounds, 2), game.fires, game.warns) for rounds in (1, 3, 4)]
    [(0.25, False, False), (0.75, False, True), (1.0, True, False)]
    """

    bounds = (0.0, RATIO_MAX)
    threshold = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.rounds = self.agents = 0

    def update(self, rounds: int, agents: int) -> float:
        """Take one handoff: rounds of its cycle so far, and agents in the trace."""
        self.n += 1
        self.rounds, self.agents = rounds, agents
        self.score = rounded(min(max(rounds / _ACT, agents / (AGENTS_MOST + 1), 0.0), RATIO_MAX))
        self.fires = rounds >= _ACT or agents > AGENTS_MOST
        self.warns = not self.fires and rounds == _WARN
        return self.score

    def _facts(self) -> dict[str, Json]:
        return {"observed": self.rounds, "agents": self.agents, "agents_most": AGENTS_MOST}
