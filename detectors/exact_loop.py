"""D10, rule: the run does the same again and gets the same again."""

from typing import Self

from detectors.base import Detector, Json

_RING = 32  # twice what four rounds of the longest cycle need
_PERIOD_MAX = 4  # longer cycles of one tool set look like work
_WARN = 3  # times at which the model may be told; 9 of 280 recorded normal runs get there (3.21 %)
_ACT = 4  # 6 do (2.14 %), and each of those truly got one result of one call four times


class ExactLoop(Detector):
    """Repetition at the end of a run of keys: hash of tool, arguments and **result**.

    Counts how often the newest key occurs among the last 32, and how often a cycle of up to 4 keys
    has just been gone through; the third time warns, the fourth fires. This is a promise to users,
    not tuned to any runs. It never looks at the tool's name alone: the same name three times in a
    row is normal in 28 % of runs. It fails where each round changes an argument or a result a
    little; that is a planner's loop and needs another detector.

    Notes
    -----
    Score: the greater of the two, whole numbers in [0, 32]: 1 for a key that is new, 0 for a poll.
    A key of a cycle comes back once a round, so a cycle fires with the first call of its fourth
    round; period and cycle tell people what was repeated. It lives in the run's state, so that
    state is plain: `state` and `from_state`. 32 keys, 0.8 kB; about 1 µs.

    Examples
    --------
    >>> loop = ExactLoop()
    >>> [loop.update(key) for key in ("search:a:0", "fetch:b:1") * 4]
    [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]
    >>> loop.fires, loop.period, loop.count, loop.cycle
    (True, 2, 4, ['search:a:0', 'fetch:b:1'])
    """

    bounds = (0.0, float(_RING))
    threshold = float(_ACT)

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []
        self.period = 0
        """Length of the cycle that was just repeated, 0 if there is none."""
        self.repeats = 0
        """Rounds of that cycle."""
        self.count = 0
        """Times that the newest key occurs in the ring."""

    def update(self, key: str, poll: bool = False) -> float:
        """Take the key of one completed call.

        A tool declared `poll` may ask for ever and leaves no trace here: two polls with a call
        between them must not hide that the call repeats.
        """
        self.n += 1
        if poll:
            self.period = self.repeats = self.count = 0
            self.score, self.fires, self.warns = 0.0, False, False
            return 0.0
        remember(self.keys, key)
        return self._judge()

    def _judge(self) -> float:
        self.period, self.repeats, self.count = repetition(self.keys)
        done = max(self.repeats, self.count)
        self.fires = done >= _ACT
        self.warns = done == _WARN
        self.score = float(done)
        return self.score

    @property
    def cycle(self) -> list[str]:
        """Keys of the repeated cycle, oldest first; the newest key alone if it only came back."""
        return self.keys[-(self.period or 1) :] if self.count else []

    def state(self) -> list[int | str]:
        """All that further scores depend on, for JSON: updates so far, then the keys."""
        return [self.n, *self.keys]

    @classmethod
    def from_state(cls, state: list[int | str]) -> Self:
        """The detector whose `state` this was; a fresh one from an empty list."""
        loop = cls()
        loop.keys = [str(key) for key in state[1:]]
        if loop.keys:
            loop._judge()
        loop.n = int(state[0]) if state else 0
        return loop

    def _facts(self) -> dict[str, Json]:
        return {
            "observed": self.score,
            "period": self.period,
            "repeats": self.repeats,
            "count": self.count,
            "cycle": list(self.cycle),
            "warn_at": _WARN,
        }


def remember(keys: list[str], key: str) -> None:
    """Add the newest key to those of a run, oldest first; the last 32 stay."""
    keys.append(key)
    del keys[:-_RING]


def repetition(keys: list[str], since: int = _RING) -> tuple[int, int, int]:
    """Period and rounds of the cycle at the end, and how often the newest key occurs. Plain facts.

    With `since`, the number of calls since one that brought news, older ones of that key count once: who
    looks at the same after each step of work is in no loop.

    >>> repetition(["a", "b", "a", "b", "a", "b"]), repetition(["a", "b", "c", "a"])
    ((2, 3, 3), (0, 0, 2))
    >>> keys = ["look", "write 1", "look", "write 2", "look", "write 3", "look"]
    >>> repetition(keys), repetition(keys, since=1)
    ((0, 0, 4), (0, 0, 2))
    """
    all_times = keys.count(keys[-1])
    recent = keys[-1 - since :].count(keys[-1])
    count = min(all_times, recent + 1)
    period = rounds = 0
    if all_times > 1:  # a cycle ends with a key that was there before
        for length in range(1, _PERIOD_MAX + 1):
            same, most = 0, len(keys) - length
            while same < most and keys[-1 - same] == keys[-1 - same - length]:
                same += 1
            if same >= length and same // length + 1 > rounds:
                period, rounds = length, same // length + 1
    return period, rounds, count
