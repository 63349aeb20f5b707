"""Regression cases: what an agent did until an incident, and which detector must speak of it. Pure.

A case is one line of JSON: the agent's file, the facts that its owner heard with their record times, and
what is expected. It holds what steps hold: hashes, ids and the arguments that rules read, no texts.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from ingest import codec
from ingest.agent_file import AgentFile
from ingest.records import Signal
from ingest.topics import SIGNALS
from stream.detect.detect import Detect
from stream.outputs import Line
from stream.replay.whatif import rule
from tracefuse import wire
from tracefuse.errors import ConfigError
from tracefuse.signing import CommandVerifier

VERSION = 1
FACTS_MAX = 5000  # of one case, 1 kB each; what needs a longer past is no case
# A gap of record time is the pipeline's, not the agent's (`partition.GAP_SECONDS`): so time passes in steps.
TICK_SECONDS = 1.0
_signal = msgspec.json.Decoder(Signal).decode


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must come of a case: this detector speaks at this step (`fires`), or it does not.

    Parameters
    ----------
    step_id
        Empty where the alarm is about no step, as of silence.
    at
        Record time (s) of the alarm; so long the case is played.
    """

    detector: str
    action: str
    step_id: str
    trace_id: str
    at: float
    fires: bool
    sentence: str


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One incident as a test: `facts` are record times (s) and lines of the agent's inbox."""

    version: int = VERSION
    incident_id: str
    label: str = ""
    file: AgentFile
    facts: list[tuple[float, msgspec.Raw]]
    expected: Expected


class Played(NamedTuple):
    """What became of a case: as expected or not, and in words what was found."""

    good: bool
    words: str


def play(case: Case, file: AgentFile | None = None) -> Played:
    """Let a fresh owner of the agent hear the facts, under the case's file or another one."""
    found = _alarms(case, file or case.file)
    wanted = case.expected
    fired = any(
        (one.detector, one.step_id) == (wanted.detector, wanted.step_id)
        and (one.step_id != "" or one.trace_id == wanted.trace_id)
        for one in found
        if one.action == wanted.action
    )
    where = f"at step {wanted.step_id}" if wanted.step_id else "of the run"
    said = f"{wanted.detector} ({wanted.action}) {where}"
    if fired == wanted.fires:
        return Played(True, f"{said}: {'fires' if fired else 'is silent'}, as expected")
    others = sorted({f"{one.detector} ({one.action})" for one in found if one.action != "annotate"})
    besides = f"; heard instead: {', '.join(others)}" if others and not fired else ""
    return Played(
        False, f"{said}: {'fires' if fired else 'is silent'}, against what is expected{besides}"
    )


def _alarms(case: Case, file: AgentFile) -> list[Signal]:
    """All that the detectors say of the facts, through the core that decides."""
    key, found = wire.agent_key(file.tenant, file.agent), list[Signal]()
    core = Detect(wire.partition_of(key), CommandVerifier({}))
    rule(core, key, file)
    for offset, (at, kind, value) in enumerate(_records(case)):
        for one in core.apply(offset, at, [(wire.KIND, kind)], value):
            if isinstance(one, Line) and one.topic == SIGNALS:
                found.append(_signal(one.value))
    return found


def _records(case: Case) -> Iterator[tuple[float, bytes, bytes]]:
    now = case.facts[0][0] if case.facts else case.expected.at
    for at, line in [*case.facts, (case.expected.at, msgspec.Raw(b""))]:
        while now + TICK_SECONDS < at:
            now += TICK_SECONDS
            yield now, codec.TICK, b"{}"
        now = max(now, at)
        raw = bytes(line)
        yield (now, codec.INBOX, raw) if raw else (now, codec.TICK, b"{}")


def smallest(cases: Iterable[Case]) -> Case | None:
    """The first of these, each with a longer past, in which the detector speaks; None where none does."""
    for case in cases:
        expected = msgspec.structs.replace(case.expected, fires=True)
        if (
            len(case.facts) <= FACTS_MAX
            and play(msgspec.structs.replace(case, expected=expected)).good
        ):
            return case
    return None


def read(text: bytes, name: str) -> list[Case]:
    """The cases of a file, one a line. Raises `ConfigError` to whoever wrote it."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            case = msgspec.json.decode(line, type=Case)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{name}:{number}: no case: {str(error)[:200]}") from error
        if case.version != VERSION:
            raise ConfigError(f"{name}:{number}: version {case.version}, this reads {VERSION}")
        found.append(case)
    return found
