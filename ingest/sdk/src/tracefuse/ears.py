"""What follows from a command that came into force: acknowledgement, listeners, a note of the moment.

On the background thread, right after the gate changed.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from tracefuse import clock
from tracefuse.control import Command
from tracefuse.drafts import Draft, Run
from tracefuse.emitter import Emitter
from tracefuse.gate import Changed, Rejected

Tell = Callable[[Changed | Rejected, int], None]

# Changes that are remembered for whoever asks.
CHANGES_MAX = 1024
# Rejected commands are counted all and reported this often by reason, in µs: a flood of forged
# ones must not become a flood of events.
REPORT_US = 1_000_000

_log = logging.getLogger("tracefuse")


class Change(NamedTuple):
    """A command that came into force: monotonic seconds, µs UTC, and the command."""

    at: float
    at_us: int
    command: Command


class Ears:
    """Tells the pipeline and the agent what the gate obeyed.

    Parameters
    ----------
    emitter
        Takes the acknowledgements.
    boot
        The run outside all runs.
    listeners
        Called with each command that came into force.
    """

    def __init__(
        self, emitter: Emitter, boot: Run, listeners: list[Callable[[Command], None]]
    ) -> None:
        self.changes: deque[Change] = deque(maxlen=CHANGES_MAX)
        self._emitter, self._boot, self._listeners = emitter, boot, listeners
        self._reported: dict[str, tuple[int, int]] = {}  # by reason: when, how many since

    def tell(self, outcome: Changed | Rejected, at_us: int) -> None:
        """Pass on what the gate made of a record at `at_us`."""
        if isinstance(outcome, Rejected):
            self._rejected(outcome, at_us)
            return
        command = outcome.command
        self.changes.append(Change(clock.monotonic(), at_us, command))
        run = self._run_of(command)
        if run is not None and not outcome.gone:
            told = {
                "cmd_id": command.cmd_id,
                "scope": command.scope,
                "term": command.term,
                "epoch": command.epoch,
                "state": command.state,
            }
            self._emit("control.applied", run, at_us, told)
        for listener in list(self._listeners):
            try:
                listener(command)
            except Exception:
                _log.exception("A listener of commands failed.")

    def _run_of(self, command: Command) -> Run | None:
        """The run that acknowledges: the stopped one itself, None if it never ran here."""
        if not command.scope.startswith("run:"):
            return self._boot
        return self._emitter.run(command.scope.rpartition("/")[2])

    def _rejected(self, outcome: Rejected, at_us: int) -> None:
        since, count = self._reported.get(outcome.reason, (0, 0))
        if at_us - since < REPORT_US:
            self._reported[outcome.reason] = (since, count + 1)
            return
        self._reported[outcome.reason] = (at_us, 0)
        told = {"reason": outcome.reason, "key": outcome.key, "kid": outcome.kid}
        self._emit("x.control_rejected", self._boot, at_us, told | {"unreported": count})

    def _emit(self, name: str, run: Run, at_us: int, told: dict[str, Any]) -> None:
        extra = {"attrs": told, "status": "ok"}
        self._emitter.emit(Draft(name, run, run.root, at_us, extra=extra, urgent=True))
