"""Whether an agent's file can be taken: every mistake at once, each with its line. Pure.

First the shape (keys, types, bounds), then the sense: rules that compile, names that lead somewhere, caps
that do not contradict each other. Of a published version a worker checks the sense once more.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

import msgspec

from ingest import toml_lines
from ingest.agent_file import AgentFile, Budgets, Gate
from ingest.toml_lines import Path
from tracefuse.errors import ConfigError

CHARACTERS_MAX = 256 * 1024  # a published file must fit a record
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
_ARGUMENT = re.compile(r"\bargs\.([A-Za-z_][A-Za-z0-9_]*)")
REQUIRED_MAX = 32  # each open run remembers which of them went well
# Of each pair the first is a part of the second. A run may be capped above a day: the lower cap holds.
_NESTED = (("call", "run"), ("call", "hour"), ("hour", "day"))

Problem = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend in a file."""

    file: str
    line: int
    key: str
    words: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}: line {self.line}: {key}{self.words}"


class BadFile(ConfigError):
    """An agent's file with mistakes. To its owner: all of them, with file and line."""

    def __init__(self, mistakes: list[Mistake]):
        super().__init__("; ".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def parse(text: str, name: str = "agent file") -> AgentFile:
    """Agent of a TOML text. Raises `BadFile` with everything that is wrong in it.

    >>> parse('agent = "refunds"').environment
    'dev'
    >>> parse('agnet = "refunds"', "refunds.toml")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ingest.agent_check.BadFile: refunds.toml: line 1: agnet: unknown key, did you mean `agent`?; ...
    """
    if len(text) > CHARACTERS_MAX:
        raise BadFile([Mistake(name, 1, "", f"more than {CHARACTERS_MAX} characters")])
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        number, words = toml_lines.place(error, text)
        raise BadFile([Mistake(name, number, "", words)]) from error
    except RecursionError as error:
        raise BadFile([Mistake(name, 1, "", "nested too deeply")]) from error
    if type(data.get("review_by")) is date:  # written without quotes
        data["review_by"] = data["review_by"].isoformat()
    problems = list(_shape(data, AgentFile, ()))
    agent = _agent(data, problems)
    if agent is not None:
        problems += _unrelated(sense(agent), problems)
    if problems or agent is None:
        found = toml_lines.lines(text)
        mistakes = [
            Mistake(name, toml_lines.line_of(found, path), spelt(path), words)
            for path, words in problems
        ]
        raise BadFile(sorted(mistakes, key=lambda mistake: mistake.line))
    return agent


def spelt(path: Path) -> str:
    """A path as its owner writes it.

    >>> spelt(("tools", "crm.refund", "undo")), spelt(("approvals", 0, "when"))
    ('tools."crm.refund".undo', 'approvals[0].when')
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (f'"{step}"' if "." in step else step)
    return text


# -- shape -------------------------------------------------------------------------------------------


def _shape(value: Any, kind: Any, path: Path) -> Iterator[Problem]:
    """What of a value does not fit its type, down to the single key."""
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _table(value, kind, path)
    elif origin is dict and isinstance(value, dict):
        of_key, of_value = get_args(kind)
        for key, inner in value.items():
            wrong = list(_shape(key, of_key, (*path, key)))
            yield from wrong or _shape(inner, of_value, (*path, key))
    elif origin is tuple and isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _shape(inner, get_args(kind)[0], (*path, number))
    elif origin is Literal and isinstance(value, str):
        if value not in get_args(kind):
            yield path, f"{value!r} is none of {', '.join(get_args(kind))}"
    else:
        words = _refusal(value, kind)
        if words:
            yield path, words


def _table(value: Any, kind: type[msgspec.Struct], path: Path) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield path, f"must be a table, not {type(value).__name__}"
        return
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for key, inner in value.items():
        if key in fields:
            yield from _shape(inner, fields[key].type, (*path, key))
            continue
        like = difflib.get_close_matches(key, fields, 1)
        yield (*path, key), "unknown key" + (f", did you mean `{like[0]}`?" if like else "")
    for name, field in fields.items():
        if field.required and name not in value:
            yield path, f"`{name}` is missing"


def _refusal(value: Any, kind: Any) -> str:
    """Why msgspec refuses a value; empty where it does not."""
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        words = str(error).partition(" - at `")[0]
        bounds = next((meta for meta in get_args(kind) if isinstance(meta, msgspec.Meta)), None)
        if bounds is not None and bounds.le is not None and re.search("[<>]=", words):
            return f"must be from {bounds.ge:g} to {bounds.le:g}, not {value!r}"
        return words
    return ""


def _agent(data: dict[str, Any], problems: list[Problem]) -> AgentFile | None:
    """The agent without what is wrong in its shape, so that the rest's sense can be checked too."""
    for path, _ in problems:
        around: Any = data
        *outer, last = path or ("",)
        for step in outer:
            inner = around.get(step)
            if not isinstance(inner, dict):  # a list goes as a whole: its items keep their numbers
                last = step
                break
            around = inner
        around.pop(last, None)
    try:
        return msgspec.convert(data, AgentFile)
    except (msgspec.ValidationError, RecursionError):
        return None


def _unrelated(found: list[Problem], shape: list[Problem]) -> list[Problem]:
    """Without what may only follow from a mistake of shape."""
    heads = {path[0] for path, _ in shape if path}
    if "tools" in heads:
        heads |= {"fallbacks", "approvals"}
    return [problem for problem in found if problem[0][0] not in heads]


# -- sense -------------------------------------------------------------------------------------------


def sense(agent: AgentFile) -> list[Problem]:
    """What is well written and cannot be meant; empty for a file that can be in force."""
    return [
        *_dates(agent), *_names(agent), *_caps(agent), *_approvals(agent), *_bundles(agent),
        *_stages(agent), *_gates(agent),
    ]  # fmt: skip


def _dates(agent: AgentFile) -> Iterator[Problem]:
    try:
        date.fromisoformat(agent.review_by or "2000-01-01")
    except ValueError:
        yield ("review_by",), f"{agent.review_by!r} is no day of the calendar"
    if agent.environments and agent.environment not in agent.environments:
        yield ("environment",), f"{agent.environment!r} is not among `environments`"


def _names(agent: AgentFile) -> Iterator[Problem]:
    for name, tool in agent.tools.items():
        if tool.undo and tool.undo not in agent.tools:
            yield ("tools", name, "undo"), f"no tool {tool.undo!r} is listed"
        for number, other in enumerate(tool.requires):
            if other not in agent.tools:
                yield ("tools", name, "requires", number), f"no tool {other!r} is listed"
            elif name in _needs(agent, other):
                words = f"{other!r} waits for {name!r} itself: neither could ever be called"
                yield ("tools", name, "requires", number), words
    required = dict.fromkeys(other for tool in agent.tools.values() for other in tool.requires)
    if len(required) > REQUIRED_MAX:
        yield ("tools",), f"{len(required)} tools are required by others, {REQUIRED_MAX} may be"
    for name in agent.fallbacks:
        if name != "output" and name not in agent.tools:
            yield ("fallbacks", name), "neither `output` nor a tool that is listed"


def _needs(agent: AgentFile, tool: str) -> set[str]:
    """A tool, and all that must go before it, and before that."""
    found, left = set[str](), [tool]
    while left:
        name = left.pop()
        if name not in found and name in agent.tools:
            found.add(name)
            left += agent.tools[name].requires
    return found


def _caps(agent: AgentFile) -> Iterator[Problem]:
    for unit in ("usd", "tokens"):
        for part, whole in _NESTED:
            least, most = _cap(agent.budgets, part, unit), _cap(agent.budgets, whole, unit)
            if least and most and least > most:
                words = f"{least:g} is more than {whole}_{unit} allows ({most:g})"
                yield ("budgets", f"{part}_{unit}"), words
        cap = _cap(agent.budgets, "call", unit)
        for name, tool in agent.tools.items():
            if cap and getattr(tool, f"max_{unit}") > cap:
                yield ("tools", name, f"max_{unit}"), f"no call may use more than {cap:g}"


def _cap(budgets: Budgets, span: str, unit: str) -> float:
    return float(getattr(budgets, f"{span}_{unit}"))


def _approvals(agent: AgentFile) -> Iterator[Problem]:
    if not agent.approvals:
        return
    from ingest.rules import rule  # most files have none, and the library is large

    declared = {name for tool in agent.tools.values() for name in tool.decision_args}
    names: set[str] = set()
    for number, approval in enumerate(agent.approvals):
        path: Path = ("approvals", number)
        if approval.name in names:
            yield (*path, "name"), f"there is another rule {approval.name!r}"
        names.add(approval.name)
        if not approval.approvers:
            yield (*path, "approvers"), "nobody could approve"
        try:
            rule(approval.when)
        except ConfigError as error:
            yield (*path, "when"), str(error)
        for used in dict.fromkeys(_ARGUMENT.findall(_STRING.sub("", approval.when))):
            if used not in declared:
                yield (*path, "when"), f"no tool has {used!r} in its `decision_args`"


def _bundles(agent: AgentFile) -> Iterator[Problem]:
    shares = {track: bundle.share for track, bundle in agent.bundles.items()}
    if agent.bundles and "stable" not in agent.bundles:
        yield ("bundles",), "canary and shadow need a `stable` bundle"
    if shares.get("stable", 0.0) + shares.get("canary", 0.0) > 1:
        yield ("bundles", "canary", "share"), "stable and canary have more than all runs"


def _stages(agent: AgentFile) -> Iterator[Problem]:
    """A roll-out goes from narrow to wide and ends with everybody."""
    shares = [stage.share for stage in agent.rollout]
    for number, (before, after) in enumerate(pairwise(shares), 1):
        if after == before == 0:
            yield ("rollout", number, "share"), "there is another shadow stage (share 0)"
        elif after <= before:
            yield ("rollout", number, "share"), f"{after:g} is not more than {before:g} before it"
    if shares and shares[-1] != 1:
        words = f"the last stage has {shares[-1]:g} of the runs, not 1"
        yield ("rollout", len(shares) - 1, "share"), words


def _gates(agent: AgentFile) -> Iterator[Problem]:
    """A gate that nothing can pass, and one that everything passes."""
    for name, gate in agent.gates.items():
        if name == "dev":
            yield ("gates", name), "no environment comes before dev: nothing can be shown"
        elif gate == Gate():
            yield ("gates", name), "asks nothing: name runs, success, days or approvers"
