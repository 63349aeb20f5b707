"""D14, statistical: a tool, a form of arguments or a place that the agent has never had. Steps up a write."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import lgamma, log
from typing import Any, Literal
from zlib import crc32

from detectors.base import DAY_SECONDS, Json, StatisticalDetector, rounded
from detectors.conformal_tail import SURPRISE_MAX

_CALLS_MIN = 200  # before any novelty is one: a young agent has not shown yet what it does
_LEARNT = 0.02  # Good-Turing's share of what is still to come: detection.md, D14
_DAY_MAX = 20  # calls that a day counts as: a busy day would let expect anything
_FADES = 4096  # observations; then both counts are halved, so that old ways fade
_TOOLS_MAX = 64
_GROUPS_MAX = 20  # tools whose forms are known, and whose places; the one used longest ago goes
_MEMBERS_MAX = 8  # forms or places of one tool; what is forgotten counts as new again
_MASK = 0x7FFF_FFFF  # five bytes each in a checkpoint

Kind = Literal["tool", "form", "place"]
Phase = Literal["both", "asked", "done"]


@dataclass(slots=True)
class Kindred:
    """What was met of one kind: members by hash, with 0 (asked for, never done), 1 or 2 (more often)."""

    most: int
    n: int = 0
    once: int = 0  # members met once, those that were forgotten among them
    day: int = -1
    today: int = 0  # observations of the day
    new: int = 0  # new ones among them
    members: dict[int, int] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:  # by place: half the bytes of a checkpoint
        return Kindred, (
            self.most, self.n, self.once, self.day, self.today, self.new, self.members,
        )  # fmt: skip

    @property
    def unseen(self) -> float:
        """Good-Turing: the chance that the next one is new; half a count for what was never once."""
        return (self.once + 0.5) / (self.n + 1)

    def ask(self, member: int, day: int) -> tuple[float, bool]:
        """-log10 p of a member, 0 if it is known or much is new; whether it was never asked for."""
        if day > self.day:
            self.day, self.today, self.new = day, 0, 0
        self.today += 1
        known = self.members.get(member)
        if known:
            return 0.0, False
        if known is None:
            self._keep(member, 0)
        if self.n < _CALLS_MIN or self.unseen >= _LEARNT:
            return 0.0, known is None
        self.new += known is None  # what was new while it learnt counts for nothing
        # P(so many new ones in such a day) < rate ** new / new!, of Poisson's law.
        rate, new = self.unseen * min(self.today, _DAY_MAX), max(self.new, 1)
        return max(0.0, (lgamma(new + 1) - new * log(rate)) / log(10)), known is None

    def learn(self, member: int) -> None:
        """A call with it has run."""
        known = self.members.get(member, 0)
        self.n += 1
        self.once += (known == 0) - (known == 1)
        self._keep(member, min(known + 1, 2))
        if self.n >= _FADES:
            self.n, self.once = self.n // 2, self.once // 2

    def _keep(self, member: int, count: int) -> None:
        self.members.pop(member, None)
        self.members[member] = count  # the newest last
        if len(self.members) > self.most:
            # First what was only asked for: who asks for much makes nothing known forgotten.
            asked = (one for one, times in self.members.items() if not times and one != member)
            del self.members[next(asked, next(iter(self.members)))]


class FirstTime(StatisticalDetector):
    """Is this the first call of its tool, in its form, or to its place?

    Three questions of each call, each against all calls of the agent before: was the tool ever used, with
    arguments of this form (their names and kinds, by a keyed hash), at this place (host or mail domain, by
    a keyed hash)? How much is usually new is Good-Turing's estimate, members met once over observations, of
    each tool by itself: while it is 2 % or more nothing is said, so a tool that goes to ever new places is
    none of its business. A novelty counts if so many in a day are improbable, a day taken as 20 calls at
    most.

    Each novelty is told once; until a call with it has run it stays `odd`. A call that was refused teaches
    nothing. It fails on harm done in the usual way, and on an agent that does everything for the first time.

    Parameters
    ----------
    quiet
        Updates after an alarm without another one, >= 0.

    Notes
    -----
    Score: -log10 p of the rarest of the three, in [0, 8]; fires from 1.7, one day in fifty. Needs 200
    calls of the agent, of a tool for its forms and places. State at most 4 kB in a checkpoint; 3 µs a call.

    Examples
    --------
    >>> first = FirstTime()
    >>> for i in range(900):
    ...     _ = first.update("db.read", form=7, places=(i % 2,), now=i * 3600.0)
    >>> _ = first.update("db.read", form=7, places=(9,), now=900 * 3600.0)
    >>> first.fires, first.evidence()["observed"], first.evidence()["of"]
    (True, 'place', 900)

    References
    ----------
    [^1]: Good (1953). The population frequencies of species. Biometrika 40.
    """

    bounds = (0.0, SURPRISE_MAX)
    n0 = _CALLS_MIN
    threshold = 1.7

    def __init__(self, quiet: int = 0) -> None:
        super().__init__(quiet)
        self.odd = False
        """Whether the latest call has a novelty, told before or not, that counts."""
        self._tools = Kindred(_TOOLS_MAX)
        self._forms: dict[int, Kindred] = {}
        self._places: dict[int, Kindred] = {}
        self._latest: tuple[str, int, float] = ("", 0, 0.0)

    def update(
        self, tool: str, form: int = 0, places: Sequence[int] = (), now: float = 0.0,
        phase: Phase = "both",
    ) -> float:  # fmt: skip
        """Score a call that is `asked` for, learn one that is `done`; `both` one after the other.

        Parameters
        ----------
        form, places
            Hashes; 0 and none where nothing is known.
        now
            Record time, s.
        """
        self.score, self.odd, new = 0.0, False, False
        if phase != "done":
            self.n += 1
            self._latest = ("", 0, 0.0)
            for kind, kindred, member in self._met(tool, form, places):
                found, first = kindred.ask(member, int(now // DAY_SECONDS))
                if found > self.score:
                    self._latest = (kind, kindred.n, rounded(kindred.unseen))
                    self.score, new = found, first
            self.score = rounded(min(self.score, SURPRISE_MAX)) if self.n >= self.n0 else 0.0
            self.odd = self.score >= self.threshold and self.status == "live"
        if phase != "asked":
            for _, kindred, member in self._met(tool, form, places):
                kindred.learn(member)
        self._decide(self.odd and new)
        return self.score

    def ran(self, tool: str) -> bool:
        """Whether a call of the tool has run, as far as is remembered."""
        return self._tools.members.get(_number(tool), 0) > 0

    def _met(
        self, tool: str, form: int, places: Sequence[int]
    ) -> Iterator[tuple[Kind, Kindred, int]]:
        number = _number(tool)
        yield "tool", self._tools, number
        if form:
            yield "form", _of(self._forms, number), form & _MASK
        if places:
            kindred = _of(self._places, number)
            for place in places:
                yield "place", kindred, place & _MASK

    def _facts(self) -> dict[str, Json]:
        kind, n, unseen = self._latest
        return {
            "observed": kind,
            "expected": {"unseen": unseen},
            "of": n,
            "p": rounded(10.0**-self.score),
        }


def _of(groups: dict[int, Kindred], number: int) -> Kindred:
    kindred = groups.pop(number, None) or Kindred(_MEMBERS_MAX)
    groups[number] = kindred  # the newest last
    if len(groups) > _GROUPS_MAX:
        del groups[next(iter(groups))]
    return kindred


def _number(tool: str) -> int:
    # No secret: who may choose a name that collides must be in the agent's file with it.
    return crc32(tool.encode("utf-8", "replace")) & _MASK
