"""Where the agent's threads leave their drafts: a bounded queue that never raises and never waits.

Any number of threads put in; the background thread alone takes out. Appending to a deque needs no
lock, and a sleeping background thread is woken at most once per turn of its loop.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator

from tracefuse import clock
from tracefuse.drafts import Draft, Run, weight_of

# About 10 s of 2,000 events/s; a draft holds about 0.5 kB, so 10 MB.
COUNT_MAX = 20_000
# Values that wait: 64 of the largest (256 KiB each).
WEIGHT_MAX = 16 * 1024 * 1024
# Bodies below this are bounded by the count alone.
HEAVY = 4096
# Runs that get heartbeats at once; a process with more has forgotten to end them.
RUNS_MAX = 4096


class Emitter:
    """The queue between the agent and the background thread, and the count of what it refused.

    Parameters
    ----------
    count_max
        Drafts that may wait.
    weight_max
        Bytes of large values that may wait.

    Notes
    -----
    About 0.3 µs an event. What comes in while it is full is dropped and counted by reason; the
    sequence number of a dropped event is left out, so that the loss shows as a gap.

    Examples
    --------
    >>> emitter = Emitter(count_max=1)
    >>> for name in ("plan", "thought"):
    ...     emitter.emit(Draft(name, Run("0" * 32), "0" * 16, 0))
    >>> [draft.name for draft in emitter.take()], emitter.dropped
    (['plan'], {'queue_full': 1})
    """

    def __init__(self, count_max: int = COUNT_MAX, weight_max: int = WEIGHT_MAX) -> None:
        self.count_max = count_max
        self.weight_max = weight_max
        self.dropped: dict[str, int] = {}
        self.runs: dict[Run, None] = {}
        self._recent: dict[str, Run] = {}
        self.idle = True
        self.hasty_at = 0.0  # monotonic seconds: before it an urgent event waits for the others
        self.held = False  # whether a call waits for what lies here
        self.closed = False
        self._wake: Callable[[], None] = _nobody
        self._woken = False
        self._queue: deque[Draft] = deque()
        self._weight = 0
        self._missed = 0
        # Re-entrant: a signal handler of the agent may emit while its thread is in here.
        self._lock = threading.RLock()

    @property
    def missed(self) -> int:
        """Events refused by this queue: each leaves a gap in the sequence."""
        return self._missed

    @property
    def lost(self) -> int:
        """Events that will not arrive, for whatever reason."""
        with self._lock:
            return sum(self.dropped.values())

    def __len__(self) -> int:
        return len(self._queue)

    def attach(self, wake: Callable[[], None]) -> None:
        """Name the function that wakes the background thread."""
        self._wake = wake
        if self._queue:
            self._rouse()

    def emit(self, draft: Draft) -> None:
        """Take a draft. Never raises, never waits."""
        try:
            if self.closed or len(self._queue) >= self.count_max or self._weight > self.weight_max:
                self._missed += 1
                self.drop("closed" if self.closed else "queue_full")
                return
            weight = weight_of(draft.body)
            if weight > HEAVY:
                draft.weight = weight
                with self._lock:
                    self._weight += weight
            self._queue.append(draft)
            if draft.held:
                self.held = True
                self._rouse()
            elif not self._woken and (
                self.idle or (draft.urgent and clock.monotonic() >= self.hasty_at)
            ):
                self._rouse()
        except Exception:
            self.drop("internal")

    def drop(self, reason: str, count: int = 1) -> None:
        """Count events that will not arrive."""
        with self._lock:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def opened(self, run: Run) -> None:
        """A run begins; it gets heartbeats until `ended`."""
        if len(self.runs) < RUNS_MAX:
            self.runs[run] = None
        with self._lock:
            self._recent[run.trace_id] = run
            if len(self._recent) > RUNS_MAX:
                del self._recent[next(iter(self._recent))]

    def run(self, trace_id: str) -> Run | None:
        """The run of a trace, open or lately ended; None if it never ran in this process."""
        return self._recent.get(trace_id)

    def ended(self, run: Run) -> None:
        self.runs.pop(run, None)

    def take(self, count: int = COUNT_MAX) -> Iterator[Draft]:
        """What waits, oldest first, at most `count`; for the background thread."""
        self._woken = self.held = False
        queue = self._queue
        for _ in range(min(len(queue), count)):
            draft = queue.popleft()
            if draft.weight:
                with self._lock:
                    self._weight -= draft.weight
            yield draft

    def _rouse(self) -> None:
        self._woken = True
        try:
            self._wake()
        except Exception:
            self._woken = False  # the loop has ended; close() or a fork takes care of the rest


def _nobody() -> None:
    """Before a background thread is attached there is nobody to wake."""
