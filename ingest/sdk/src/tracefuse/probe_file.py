r"""Probe files: tasks with one right way, as an agent's owner writes them down. Pure.

One JSON object a line: the set first, then its probes.

    {"set": "refunds", "every_hours": 168}
    {"id": "small", "task": "refund", "input": "Refund order 991.", "expect": {"tools": ["crm.find"]}}

Every mistake is told at once, with file and line. What leaves the process of an expectation is in `expected`.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from tracefuse.canonical import canonical, keyed_hash
from tracefuse.errors import ConfigError
from tracefuse.expected import DIGEST_DIGITS, Expected, Label, Outcome, Scalar, Tool, Tools, Word
from tracefuse.redact import Redactor, is_secret_name

PROBES_MAX = 64
CHARACTERS_MAX = 1024 * 1024
EXPECTED_BYTES_MAX = 2048  # a run's memory in the pipeline grows by so much while a probe runs


class Expect(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a probe's run has to do. What is not said is not looked at, but for the outcome.

    Parameters
    ----------
    tools, in_order
        Tools that it calls, others may come between; whether in this order.
    never
        Tools that it does not call.
    args
        By tool, all arguments of one of its calls. Compared by their keyed hash.
    decision_args
        By tool, some arguments of one of its calls that travel in clear anyway (``decision_args``).
    outcome
        How it ends: ``ok``, or ``error``.
    output
        The answer, word for word; compared by its keyed hash.
    max_calls, max_usd
        Calls of tools, and what models cost, at most; 0 for any.
    """

    tools: Tools = ()
    in_order: bool = False
    never: Tools = ()
    args: dict[Tool, Any] = {}
    decision_args: dict[Tool, dict[Word, Scalar]] = {}
    outcome: Outcome = "ok"
    output: Any = None
    max_calls: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    max_usd: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0


class Probe(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One task: what the agent is given, as which kind of task and for which user, and what it should do."""

    id: Label
    input: Any
    expect: Expect
    task: Word = ""
    user: Word = ""


class _Head(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    set: Label
    every_hours: Annotated[float, msgspec.Meta(ge=1, le=8784)] = 168.0


class ProbeFile(msgspec.Struct, frozen=True):
    """A set of probes and how often each is to run."""

    set: str
    every_s: float
    probes: tuple[Probe, ...]

    def digest(self, key: bytes) -> str:
        """Keyed hash of all that is asked and expected: where it changes, another set is judged."""
        return keyed_hash(key, canonical(msgspec.to_builtins(self.probes)))[:DIGEST_DIGITS]

    def expected(self, probe: Probe, key: bytes, digest: str) -> Expected:
        """What of a probe leaves the process."""
        said = probe.expect
        return Expected(
            set=self.set, id=probe.id, digest=digest, tools=said.tools, in_order=said.in_order,
            never=said.never, decision_args=said.decision_args, outcome=said.outcome,
            args={tool: keyed_hash(key, canonical(args)) for tool, args in said.args.items()},
            output=keyed_hash(key, canonical(said.output)) if said.output is not None else "",
            max_calls=said.max_calls, max_usd=said.max_usd,
        )  # fmt: skip


class BadProbes(ConfigError):
    """A probe file with mistakes. To its owner: all of them, with file and line."""

    def __init__(self, mistakes: list[str]):
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def parse(text: str, name: str = "probes.jsonl") -> ProbeFile:
    r"""The probes of a text.

    Raises
    ------
    BadProbes
        To the operator: everything that is wrong in it.

    >>> text = '{"set": "refunds"}\n{"id": "hello", "input": "Hi", "expect": {"never": ["crm.pay"]}}'
    >>> parse(text).probes[0].expect.never
    ('crm.pay',)
    >>> parse(text.replace("never", "nevr"), "p.jsonl")
    Traceback (most recent call last):
    tracefuse.probe_file.BadProbes: p.jsonl: line 2: unknown field `nevr` at `expect`
    """
    if len(text) > CHARACTERS_MAX:
        raise BadProbes([f"{name}: more than {CHARACTERS_MAX} characters"])
    mistakes: list[str] = []
    head: _Head | None = None
    probes: dict[str, Probe] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{name}: line {number}"
        try:
            said = _object(line)
            if head is None:
                head = msgspec.convert(said, _Head)
                continue
            probe = msgspec.convert(said, Probe)
        except (ValueError, RecursionError) as error:
            mistakes.append(f"{where}: {_words(error)}")
            if head is None:
                break  # the first line says what the others are
            continue
        if probe.id in probes:
            mistakes.append(f"{where}: id: {probe.id!r} is there already")
        mistakes += [f"{where}: {words}" for words in _senseless(probe)]
        probes[probe.id] = probe
    if not mistakes and (head is None or not probes):
        mistakes.append(f"{name}: no {'set' if head is None else 'probe'} in it")
    if len(probes) > PROBES_MAX:
        mistakes.append(f"{name}: {len(probes)} probes, at most {PROBES_MAX}")
    if mistakes or head is None:
        raise BadProbes(mistakes)
    return ProbeFile(head.set, head.every_hours * 3600, tuple(probes.values()))


def _senseless(probe: Probe) -> Iterator[str]:
    """What has the right form and can't be meant."""
    said = probe.expect
    asked = {*said.tools, *said.args, *said.decision_args}
    for tool in sorted(asked & set(said.never)):
        yield f"expect: {tool!r} is expected and forbidden"
    if said.in_order and len(said.tools) < 2:
        yield "expect.in_order: an order takes at least two tools"
    if 0 < said.max_calls < len(said.tools):
        yield f"expect.max_calls: {len(said.tools)} calls are expected"
    redactor = Redactor()
    for tool, args in said.decision_args.items():
        for name, value in args.items():
            if is_secret_name(name) or (isinstance(value, str) and redactor.redact(value)[1]):
                yield f"expect.decision_args: {tool!r}: {name!r} looks personal; `args` is compared by hash"
    try:
        canonical(msgspec.to_builtins(probe))
        size = len(msgspec.json.encode(ProbeFile("", 0.0, ()).expected(probe, b"", "")))
    except (ValueError, TypeError) as error:
        yield str(error)
        return
    if size > EXPECTED_BYTES_MAX:
        yield f"expect: {size} bytes, at most {EXPECTED_BYTES_MAX}"


def _object(line: str) -> dict[str, Any]:
    """One line as JSON. A key that stands twice is a mistake: half of what was meant would be lost."""
    found: Any = json.loads(line, object_pairs_hook=_pairs, parse_constant=_no_number)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"{twice!r} stands twice")
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} (column {error.colno})"
    words = str(error)
    for theirs, ours in (
        ("Object contains unknown", "unknown"),
        ("Object missing", "missing"),
        ("$.", ""),
    ):
        words = words.replace(theirs, ours)
    return words.replace(" - at", " at")
