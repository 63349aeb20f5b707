"""The fleet's own account of what happened: the tools' calls and each gate's changes, apart from Tracefuse.

One file per process, one JSON line per entry. What the pipeline claims is judged by these files.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec


class Call(msgspec.Struct, tag="call", frozen=True, gc=False, omit_defaults=True):
    """One call that a tool answered. Times are µs of the wall clock; `asked_us` is before the gate.

    `forbidden` ones should not have run, those that `needs_person` not before somebody agreed.
    """

    trace_id: str
    index: int
    tool: str
    asked_us: int
    start_us: int
    end_us: int
    failed: bool = False
    forbidden: bool = False
    needs_person: bool = False
    bundle: str = ""


class Refusal(msgspec.Struct, tag="refusal", frozen=True, gc=False, omit_defaults=True):
    """One call that was refused before it ran: by which gate of the policy, in its words.

    `gate` is empty where no verdict came in time.
    """

    trace_id: str
    tool: str
    asked_us: int
    at_us: int
    gate: str = ""
    reason: str = ""
    forbidden: bool = False


class Told(msgspec.Struct, tag="told", frozen=True, gc=False, omit_defaults=True):
    """What the user got at the end of a run whose answer has to have a form.

    `malformed` where the agent's own answer had another, `replaced` where the user got something else.
    """

    trace_id: str
    at_us: int
    said: Any
    malformed: bool = False
    replaced: bool = False


class Change(msgspec.Struct, tag="gate", frozen=True, gc=False, omit_defaults=True):
    """The gate of the process changed: scope, new state, the command that said so, and why."""

    at_us: int
    scope: str
    state: str
    cmd_id: str
    rule: str = ""
    text: str = ""
    last_emitted_at: int = 0
    interval_ms: int = 0


class Exit(msgspec.Struct, tag="exit", frozen=True, gc=False, omit_defaults=True):
    """The process ended in order: what its SDK emitted, and its CPU time in seconds."""

    at_us: int
    stats: dict[str, Any]
    cpu_s: float
    runs: int = 0
    refused: int = 0
    error: str = ""


class Ready(msgspec.Struct, tag="ready", frozen=True, gc=False):
    """The process has its SDK and starts to work: seconds that this took."""

    at_us: int
    pid: int
    seconds: float


class Mark(msgspec.Struct, tag="mark", frozen=True, gc=False):
    """The fault begins (``fault``), or the process is about to hang (``freeze``)."""

    at_us: int
    what: Literal["fault", "freeze"]


Entry = Call | Refusal | Told | Change | Exit | Ready | Mark
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Journal:
    """Writer of one process's file; each entry is on disk when `write` returns. About 5 µs."""

    def __init__(self, path: Path):
        self._file = path.open("ab", buffering=0)

    def write(self, entry: Entry) -> None:
        self._file.write(_encode(entry) + b"\n")

    def close(self) -> None:
        self._file.close()


class Tail:
    """Reader of a file that is still written to.

    A last line without its end is left for the next look.
    """

    def __init__(self, path: Path):
        self.path = path
        self._offset = 0

    def read(self) -> list[Entry]:
        """Entries since the last look; none where the file is not there yet."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [_decode(line) for line in whole.splitlines()]


__all__ = ["Call", "Change", "Entry", "Exit", "Journal", "Mark", "Ready", "Refusal", "Tail", "Told"]
