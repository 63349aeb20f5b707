"""What one command does to the calls of its scope, and the table in which a call finds its scopes."""

import threading
from typing import NamedTuple

from tracefuse.control import STRICTNESS, WIDE, Command
from tracefuse.errors import CircuitOpen

# A call waits this long at most for its turn; later ones are refused, or the agent would hang.
WAIT_MAX = 2.0

# No breaker asks for more; a command that does must not fill memory.
PROBES_MAX = 1000

# Which calls an action leaves alone. Every other action denies all.
_SPARES = {
    "deny_writes": ("read",),
    "quarantine": ("read",),
    "deny_irreversible": ("read", "write"),
}


def restrains(command: Command) -> int:
    """How strict a command is; 0 for one that lets everything run.

    >>> from tracefuse.control import Reason
    >>> stop = dict(cmd_id="c", scope="fleet", author="auto", action="open", epoch=1)
    >>> restrains(Command(state="open", reason=Reason("r"), **stop))
    3
    """
    return STRICTNESS[command.state] if command.mode == "enforce" else 0


class Restraint:
    """A command in force, with the probes it has left and the turns it has given.

    Cheap to ask: no lock but for a throttled scope.
    """

    __slots__ = ("_lock", "_next", "_probes", "command", "spares")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.spares = _SPARES.get(command.action, ())
        probes = command.probes if command.state == "half_open" else 0
        self._probes = [None] * max(0, min(probes, PROBES_MAX))
        self._next = 0.0
        self._lock = threading.Lock()

    @property
    def stops(self) -> bool:
        """Whether no call at all may run, not even one on trial."""
        return restrains(self.command) >= STRICTNESS["open"]

    def open(self, now: float) -> bool:
        """Whether `take` would let a call run; takes nothing. `now`: monotonic seconds."""
        if self.command.state == "throttled":
            return self._next - now <= WAIT_MAX
        return bool(self._probes)

    def take(self, now: float) -> float | None:
        """Seconds until the call may run; None when it may not."""
        if self.command.state != "throttled":
            try:
                self._probes.pop()  # atomic: two threads never take the same probe
            except IndexError:
                return None
            return 0.0
        with self._lock:
            turn = max(now, self._next)
            if turn - now > WAIT_MAX:
                return None
            self._next = turn + self.command.interval_ms / 1000
            return turn - now

    def back(self) -> None:
        """A call that took a probe did not run."""
        if self.command.state == "half_open" and len(self._probes) < self.command.probes:
            self._probes.append(None)

    def refusal(self) -> CircuitOpen:
        """What the agent's author is told."""
        reason = self.command.reason
        return CircuitOpen(self.command.scope, reason.text or reason.rule, self.command.cmd_id)


class Entry(NamedTuple):
    """One scope: what restrains it, if anything does, and the term and epoch of the last word."""

    scope: str
    restraint: Restraint | None
    epoch: tuple[int, int]


class Table:
    """Scopes by what a call knows of itself: its run, its bundle, its tool, its access class.

    One thread writes, any thread reads. Each entry is replaced as a whole, so no reader needs a lock.
    """

    __slots__ = ("_places", "_wide", "restrained")

    def __init__(self) -> None:
        self.restrained: set[str] = set()  # scopes; while it is empty every call runs
        self._places: dict[str, dict[str, Entry]] = {
            "run": {}, "tool": {}, "bundle": {}, "shared_tool": {}, "class": {}
        }  # fmt: skip
        self._wide: dict[str, Entry] = {}

    def get(self, scope: str) -> Restraint | None:
        place, name = self._place(scope)
        entry = place.get(name)
        return entry.restraint if entry is not None else None

    def put(self, entry: Entry) -> None:
        """Write what is true of a scope now."""
        place, name = self._place(entry.scope)
        if place is self._wide:
            self._wide = {**place, name: entry}  # few; readers walk over it
        else:
            place[name] = entry
        if entry.restraint is not None:
            self.restrained.add(entry.scope)
        else:
            self.restrained.discard(entry.scope)

    def remove(self, scope: str) -> None:
        """Forget a scope."""
        place, name = self._place(scope)
        if place is self._wide:
            self._wide = {k: v for k, v in place.items() if k != name}
        else:
            place.pop(name, None)
        self.restrained.discard(scope)

    def of(self, trace_id: str, tool: str, access: str, bundle: str = "") -> list[Restraint]:
        """Restraints that bind a call."""
        entries = self._entries(trace_id, tool, bundle)
        classes = self._places["class"]
        # A tool whose class nobody declared may be of the class that is stopped.
        if not access:
            entries += list(classes.values())
        elif access in classes:
            entries.append(classes[access])
        return [
            entry.restraint
            for entry in entries
            if entry.restraint is not None and access not in entry.restraint.spares
        ]

    def seen(self, trace_id: str, tool: str, bundle: str = "") -> dict[str, tuple[int, int]]:
        """Term and epoch of each scope of a call that a command has spoken of."""
        return {entry.scope: entry.epoch for entry in self._entries(trace_id, tool, bundle)}

    def trying(self, trace_id: str, tool: str, bundle: str) -> bool:
        """Whether a scope of a call that belongs to its agent alone is half open."""
        return any(
            entry.restraint is not None
            and entry.restraint.command.state == "half_open"
            and entry.scope.partition(":")[0] not in WIDE
            for entry in self._entries(trace_id, tool, bundle)
        )

    def stops(self, bundle: str) -> bool:
        """Whether no run of a bundle goes on."""
        entry = self._places["bundle"].get(bundle)
        return entry is not None and entry.restraint is not None

    def _entries(self, trace_id: str, tool: str, bundle: str) -> list[Entry]:
        places = self._places
        found = (
            places["run"].get(trace_id), places["tool"].get(tool), places["bundle"].get(bundle),
            places["shared_tool"].get(tool),
        )  # fmt: skip
        return [entry for entry in found if entry is not None] + list(self._wide.values())

    def _place(self, scope: str) -> tuple[dict[str, Entry], str]:
        kind, _, rest = scope.partition(":")
        place = self._places.get(kind)
        if place is None:
            return self._wide, scope
        # tenant/agent/NAME, or tenant/NAME: a tool's name may have slashes of its own.
        return place, rest.split("/", 2 if kind in ("run", "tool", "bundle") else 1)[-1]
