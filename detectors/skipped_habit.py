"""D16, statistical: a call without what nearly every run has done before it. Steps up that call."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log10

from detectors.backoff import NAME_MAX, brief
from detectors.base import Json, StatisticalDetector, rounded
from detectors.conformal_tail import SURPRISE_MAX

WELL_MAX = 24  # tools of a run that went well
ASKED_MAX = 24  # tools of a run whose first request is remembered
_RUNS_MIN = 200  # detection.md, D16: at least 99.5 % of at least 200 runs
_GENERATION = 500  # runs; then what is counted since the last generation takes over
_CANDIDATES_MAX = (
    4  # steps before a call, the nearest ones: a run of many steps repeats itself further back
)
_JOIN = 2  # runs in which a candidate may be met first: later it has been missing too often already
_SLACK = 2  # runs without it before a candidate is judged by its share
_HOPELESS = 0.02  # share of runs without a candidate at which it goes: four times what is allowed
_CALLS_MAX = 32  # calls of an agent or a task that are counted; the one counted longest ago goes
_NAMES_MAX = 32  # tools by number, 6 bits each
_TASKS_MAX = 4  # that count apart, the first ones; 0 is the agent as a whole
_RUNS = 0  # no tool has this number

Counts = dict[int, int]
"""Of one call: under `_RUNS` the runs that made it, under a tool's number those that did so without it."""


@dataclass(slots=True)
class Deeds:
    """One open run: tools of which a call went well, in order, and how many those were at each first request.

    At most 0.3 kB in a checkpoint where the names are known to the agent: each is written once.
    """

    well: list[str] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    fired: bool = False


class SkippedHabit(StatisticalDetector):
    """What runs of a task have done well before a call, and this one has not.

    For each call the tools that had gone well when a run first asked for it are candidates, the nearest four
    of the first two runs; each run that ends well counts those that were missing. A request is held against
    them: with `m` of `n` runs without a step its p is (m + 1/2) / (n + 1/2), at most 0.5 % to fire. A task of
    fewer than 200 such runs is judged by the agent as a whole. Every 500 runs the newer half of the counts
    takes over, so that a step that becomes usual is learnt, and one that nobody takes any more is forgotten.

    Only `update(None)` learns, and only if told so: runs that were refused, stopped or cut are no example.
    It fails where the step goes well in name alone, and where one of several steps would do.

    Parameters
    ----------
    quiet
        Updates after an alarm without another one, >= 0; each run alarms once by itself.

    Notes
    -----
    Score: -log10 p of the missing step that is most usual, in [0, 8]. State at most 4 kB in a checkpoint;
    2 µs a request, 20 µs the end of a run.

    Examples
    --------
    >>> order = SkippedHabit()
    >>> for _ in range(412):
    ...     for call in ("find", "verify", "pay", None):
    ...         _ = order.update(call)
    >>> _ = [order.update(call) for call in ("find", "pay")]
    >>> order.fires, order.evidence()["observed"], order.evidence()["of"]
    (True, 'verify', 412)
    """

    bounds = (0.0, SURPRISE_MAX)
    n0 = _RUNS_MIN
    threshold = 2.3  # -log10 of 0.5 %, rounded down

    def __init__(self, quiet: int = 0) -> None:
        super().__init__(quiet)
        self.odd = False
        """Whether the latest call lacks a step, whatever its run has shown before."""
        self._names: dict[str, int] = {}
        self._spelt: dict[int, str] = {}
        self._tasks: dict[str, int] = {}
        self._older: dict[int, Counts] = {}
        self._newer: dict[int, Counts] = {}
        self._own = Deeds()
        self._latest: tuple[str, str, int, int, int] = ("", "", 0, 0, 0)

    def update(
        self, call: str | None, deeds: Deeds | None = None, task: str = "", learn: bool = True
    ) -> float:
        """Score the next call of a run, or take its end (None), from which it is learnt if `learn`.

        Without `deeds` there is one run after the other, and every call goes well at once.
        """
        run = self._own if deeds is None else deeds
        self.n += 1
        self.score, self.odd = 0.0, False
        call = None if call is None else self._spelt.get(self._names.get(brief(call), 0), call)
        self._latest = (call or "", "", 0, 0, 0)
        if call is None:
            self._decide(False)
            if learn:
                self._learn(run, task)
            if run is self._own:
                self._own = Deeds()
            return self.score
        if call in run.asked or len(run.asked) < ASKED_MAX:
            run.asked.setdefault(call, len(run.well))
        if self.n > self.n0:
            self._judge(call, run.well, task)
        self.odd = self.score >= self.threshold and self.status == "live"
        self._decide(self.odd and not run.fired)
        run.fired |= self.fires
        if run is self._own and call not in run.well and len(run.well) < WELL_MAX:
            run.well.append(call)
        return self.score

    def _judge(self, call: str, well: list[str], task: str) -> None:
        number = self._names.get(brief(call), 0)
        for owner in dict.fromkeys((self._tasks.get(brief(task), 0), 0)):
            key = owner << 6 | number
            counts = self._older.get(key) or self._newer.get(key, {})
            runs = counts.get(_RUNS, 0)
            if runs < _RUNS_MIN:
                continue
            for step, missed in counts.items():
                if step == _RUNS or _among(self._spelt[step], well):
                    continue
                score = rounded(-log10((missed + 0.5) / (runs + 0.5)))
                if score < self.score:
                    continue
                self.score = score
                self._latest = (call, self._spelt[step], runs - missed, runs, owner)
            return

    # -- learning --------------------------------------------------------------------------------

    def _learn(self, run: Deeds, task: str) -> None:
        if len(run.well) >= WELL_MAX:
            return  # what else went well is not known
        if len(self._names) + len(run.well) + len(run.asked) > _NAMES_MAX:
            met = {brief(name) for name in (*run.well, *run.asked)}
            if len(self._names.keys() | met) > _NAMES_MAX:
                self._sweep()
        owners = sorted({0, self._enter(brief(task))}) if task else [0]
        well = [self._intern(brief(name)) for name in run.well]
        for call, before in run.asked.items():
            number = self._intern(brief(call))
            for owner in owners if number else ():
                self._count(owner << 6 | number, [step for step in well[:before] if step])

    def _count(self, key: int, before: list[int]) -> None:
        if key in self._older:
            _tally(self._older[key], before)
        counts = self._newer.pop(key, None) or {_RUNS: 0}
        self._newer[key] = counts  # the newest last
        _tally(counts, before)
        if counts[_RUNS] <= _JOIN:
            for step in before[-_CANDIDATES_MAX:]:
                if len(counts) <= _CANDIDATES_MAX:
                    counts.setdefault(step, counts[_RUNS] - 1)
        if counts[_RUNS] >= _GENERATION:
            self._older[key], self._newer[key] = counts, {_RUNS: 0}
        if len(self._newer) > _CALLS_MAX:
            gone = next(iter(self._newer))
            del self._newer[gone]
            self._older.pop(gone, None)

    def _enter(self, task: str) -> int:
        if task not in self._tasks and len(self._tasks) < _TASKS_MAX:
            self._tasks[task] = len(self._tasks) + 1
        return self._tasks.get(task, 0)

    def _intern(self, name: str) -> int:
        """The number of a tool; 0 where there is no room."""
        found = self._names.get(name, 0)
        if not found:
            found = next((n for n in range(1, _NAMES_MAX + 1) if n not in self._spelt), 0)
            if found:
                self._names[name], self._spelt[found] = found, name
        return found

    def _sweep(self) -> None:
        """Forget the names that nothing is counted under."""
        used: set[int] = set()
        for table in (self._older, self._newer):
            for key, counts in table.items():
                used |= {key & 63, *counts}
        for name, number in list(self._names.items()):
            if number not in used:
                del self._names[name], self._spelt[number]

    def _facts(self) -> dict[str, Json]:
        call, lacking, first, runs, owner = self._latest
        task = next((name for name, number in self._tasks.items() if number == owner), "")
        return {
            "observed": lacking,
            "expected": {"share": rounded(first / runs)} if runs else None,
            "call": brief(call),
            "first": first,
            "of": runs,
            "task": task,
        }


def _among(step: str, well: list[str]) -> bool:
    """Whether a step, by its brief name, is among tools by their full names."""
    return step in well or (len(step) == NAME_MAX and any(brief(name) == step for name in well))


def _tally(counts: Counts, before: Iterable[int]) -> None:
    """Count one run, and the candidates that it did without; hopeless ones go."""
    counts[_RUNS] += 1
    done = set(before)
    for step in [step for step in counts if step != _RUNS and step not in done]:
        counts[step] += 1
        if counts[step] > max(_SLACK, _HOPELESS * counts[_RUNS]):
            del counts[step]
