"""D29, rule: several agents hinder each other at one resource: locks, conflicts, and waits beside them."""

from collections import Counter
from collections.abc import Iterable

from detectors.base import Detector, Json

WINDOW_SECONDS = 60.0  # as that of error spikes: two who try again meet within it
KEPT = 32  # hindered calls of one tool; beyond it the oldest goes
_EACH = 2  # calls of one agent that count: who alone tries on and on is in a loop, which is another rule
_LEAST = 4  # two agents that have both tried again, or more of them
_SHARE = 0.25  # of the tool's hindered calls that are about the resource; else the tool is at fault
# A timeout says so only beside one of these: else it is a slow tool.
_CERTAIN = ("lock", "conflict")

Hindered = tuple[float, str, str, tuple[int, ...]]
"""Record time, agent, kind, and what the call was about, by hash."""


class Contention(Detector):
    """Calls of one tool that failed by a lock, a conflict or a timeout, over all agents of a tenant.

    Each names what it was about (an order, a file, an account), by keyed hashes. Where within 60 s at least
    two agents have failed at one of these, with four failures together of which two of an agent count,
    they are in each other's way. One collision is what optimistic locking is made of, and is never four.

    It fails where calls do not tell what they are about, where the holder of a lock is no agent, and
    between agents that work at one thing through different tools.

    Notes
    -----
    Score: failures at the resource, of each agent at most two, 0 where it is not a quarter of what fails
    there or where nothing but time ran out; in [0, 32]; fires from 4. At most 32 calls, 2.5 kB; 15 µs a
    failure, and nothing a step that does not fail so.

    Examples
    --------
    >>> tool = Contention()
    >>> for now, agent in enumerate(("refunds", "billing", "refunds", "billing")):
    ...     _ = tool.update(agent, "conflict", (991,), float(now))
    >>> tool.score, tool.fires, tool.agents
    (4.0, True, ['billing', 'refunds'])
    """

    bounds = (0.0, float(KEPT))
    threshold = float(_LEAST)

    def __init__(self) -> None:
        super().__init__()
        self.window: list[Hindered] = []
        self.resource = 0
        """What the latest call was about and most others were; 0 for nothing."""

    def update(self, agent: str, kind: str, about: Iterable[int], now: float) -> float:
        """A call has failed: whose, how (`lock`, `conflict`, `timeout`), about what, at which record time."""
        self.n += 1
        about = tuple(dict.fromkeys(about))
        self.window = [one for one in self.window if one[0] + WINDOW_SECONDS > now][1 - KEPT :]
        self.window.append((now, agent, kind, about))
        scores = {resource: self._score(resource) for resource in about}
        self.resource = max(scores, key=lambda one: scores[one], default=0)
        self.score = float(scores.get(self.resource, 0))
        self.fires = self.score >= self.threshold
        return self.score

    @property
    def met(self) -> list[Hindered]:
        """Failures at the resource, the oldest first."""
        return [one for one in self.window if self.resource in one[3]]

    @property
    def agents(self) -> list[str]:
        """Who failed at the resource."""
        return sorted({one[1] for one in self.met})

    def _score(self, resource: int) -> int:
        met = [one for one in self.window if resource in one[3]]
        if len(met) < _SHARE * len(self.window) or not any(one[2] in _CERTAIN for one in met):
            return 0
        return sum(min(count, _EACH) for count in Counter(one[1] for one in met).values())

    def _facts(self) -> dict[str, Json]:
        kinds = Counter(one[2] for one in self.met)
        return {
            "observed": len(self.met),
            "of": len(self.window),
            "agents": self.agents,
            "kinds": {kind: kinds[kind] for kind in sorted(kinds)},
            "resource": f"{self.resource:08x}",
        }
