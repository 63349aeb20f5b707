"""Why a worker process should end, from what a thread beside it sees four times a second. Pure.

The client of Kafka can lose its group and go on reading (aiokafka #1154), and can wait for ever for a
broker while it is told to end. Either is mended by a new process, which goes on at the checkpoint.
"""

from dataclasses import dataclass

# A killed worker blocks its partitions so long, unless it comes back as itself.
SESSION_SECONDS = 12.0
STUCK_SECONDS = 60.0  # ticks come twice a second: no record for a minute means that nothing is read
# Records flow, so the broker is there; who has found no coordinator by now has sent no heartbeat for longer
# than a session, and its partitions may be another's. Finding one takes a tenth of a second.
UNKNOWN_SECONDS = SESSION_SECONDS + 3.0
PAUSE_SECONDS = 2.0  # no tick for so long, and no record flows
# Everything that counts is in the log or comes again; an orderly end takes two seconds.
ENDING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A look at a worker: records applied so far, whether it owns a partition, knows its group's
    coordinator, and is about to end.
    """

    processed: int
    owns: bool
    known: bool
    ending: bool


class Watchdog:
    """Looks at one worker.

    Parameters
    ----------
    now
        Any clock that never falls, in s, and stands still while the process does not run.

    Examples
    --------
    >>> dog = Watchdog(0.0)
    >>> seen = Seen(processed=5, owns=True, known=True, ending=False)
    >>> dog.why(1.0, seen), dog.why(2.0, seen), dog.why(90.0, seen)
    ('', '', 'it stood still for longer than its session')
    """

    def __init__(self, now: float):
        self._beaten = self._since = self._known = now
        self._seen = -1
        self._ending: float | None = None

    def why(self, now: float, seen: Seen) -> str:
        """Why the process must end at once; empty while it need not."""
        still = now - self._beaten > 0.8 * SESSION_SECONDS
        self._beaten = now
        if still:
            return "it stood still for longer than its session"
        flows = seen.processed != self._seen
        if flows or not seen.owns:
            self._seen, self._since = seen.processed, now
        if seen.known or now - self._since > PAUSE_SECONDS:
            self._known = now
        if seen.ending:
            self._ending = now if self._ending is None else self._ending
            late = now - self._ending > ENDING_SECONDS
            return "it was told to end, and waits for its broker" if late else ""
        if not seen.owns or seen.processed <= 0:
            return ""
        if now - self._since > STUCK_SECONDS:
            return "it has read nothing for a minute"
        if flows and now - self._known > UNKNOWN_SECONDS:
            return "it reads, and its group has lost it"
        return ""
