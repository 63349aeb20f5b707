"""The narrowest file that fits what an agent did: its tools, its rates, its money, and nothing else. Pure.

A suggestion only ever takes away from the file in force. What history can't tell (whether a tool writes,
who owns the agent, what a history too short has not shown) is left to its owner, in notes.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from math import ceil, floor, log10
from typing import Any, NamedTuple

from msgspec.structs import replace

from ingest.agent_file import Access, AgentFile, Approval, Budgets, Limits, Tool
from ingest.agent_habits import ENOUGH_RUNS, habits

# Over the 99th percentile: minutes of the clock hold as little as half of the busiest 60 seconds, and a
# day may well be busier than those that were seen.
HEADROOM = 2.0
SHARE = 0.99
# Of fewer values the highest one is less than the 99th percentile with a chance of 5 % or more, since
# 0.99^299 = 0.05: the cap is doubled once more, and says what is known rather than what is usual.
ENOUGH_VALUES = 299
LEAST = 1e-6  # money is counted in micro-USD
TASKS_MAX = 50  # more of them are made by a program, and say nothing
_ARGUMENT = re.compile(r"\bargs\.([A-Za-z_][A-Za-z0-9_]*)")


class ToolUse(NamedTuple):
    """All calls of one tool: 95th percentile of its latency, and the dearest call."""

    tool: str
    calls: int
    latency_ms: float
    max_usd: float
    max_tokens: int


class Minute(NamedTuple):
    """Calls of one tool in one minute, counted from any fixed moment."""

    tool: str
    minute: int
    calls: int


class RunUse(NamedTuple):
    """One run on one day, and the tools that it called."""

    day: str
    environment: str
    task: str
    usd: float
    tokens: int
    tools: tuple[str, ...] = ()


class Suggestion(NamedTuple):
    """A file, what its owner has to say yet, and what was granted and never used."""

    file: AgentFile
    notes: list[str]
    unused: list[str]


def suggest(
    current: AgentFile | None,
    fresh: AgentFile,
    uses: Sequence[ToolUse],
    minutes: Iterable[Minute],
    runs: Sequence[RunUse],
) -> Suggestion:
    """The narrowest file for a history.

    Parameters
    ----------
    current
        The file in force; None where there is none.
    fresh
        What to begin with then: its name.
    uses, minutes, runs
        The history. Calls that were refused are none.
    """
    base, notes = current or fresh, [] if current else ["name an owner, a purpose and a review day"]
    used = {use.tool: use for use in uses}
    tools = _tools(base, used, notes, len(runs))
    file = replace(
        base,
        version=base.version + 1 if current else 1,
        tools=tools,
        fallbacks={k: v for k, v in base.fallbacks.items() if k == "output" or k in tools},
        approvals=_rules(base, tools, notes) + _habits(base, tools, runs),
        limits=_limits(base, minutes),
        **_places(base, runs, current is None),
        tasks=_tasks(base.tasks, runs, notes),
    )
    budgets = _budgets(base.budgets, runs)
    file = replace(file, budgets=budgets, tools=_affordable(tools, budgets))
    return Suggestion(file, notes, _unused(base, used, file) if current else [])


def _tools(
    base: AgentFile, used: dict[str, ToolUse], notes: list[str], runs: int
) -> dict[str, Tool]:
    undone = {base.tools[name].undo for name in used if name in base.tools}
    spared = {name for name in base.tools if _spared(base.tools[name], runs)} - set(used) - undone
    needed = _needed(base, {*used, *undone, *spared})
    kept = {n: tool for n, tool in base.tools.items() if n in needed}
    if spared:
        listed = ", ".join(f"`{name}`" for name in base.tools if name in spared)
        notes.append(f"{runs} runs are too few to call {listed} unused ({ENOUGH_RUNS} would do)")
    for name, use in used.items():
        if name not in base.tools:
            notes.append(
                f"`{name}` was used and is not listed: it counts as a write; say what it is"
            )
        known = kept.get(name, Tool(access="write"))
        kept[name] = replace(
            known,
            latency_ms=known.latency_ms or rounded(use.latency_ms),
            max_usd=known.max_usd or rounded(use.max_usd * HEADROOM),
            max_tokens=known.max_tokens or int(rounded(use.max_tokens * HEADROOM)),
            # What is no longer listed can't take anything back.
            undo=known.undo if known.undo in kept else "",
        )
    return kept


def _needed(base: AgentFile, tools: set[str]) -> set[str]:
    """These tools, and what must go before them: to drop a step would free what waits for it."""
    found, left = set[str](), sorted(tools)
    while left:
        name = left.pop()
        if name in base.tools and name not in found:
            found.add(name)
            left += base.tools[name].requires
    return found


def _spared(tool: Tool, runs: int) -> bool:
    """What can't be taken back is not granted on a guess, however short the history."""
    return runs < ENOUGH_RUNS and tool.access != "irreversible"


def _rules(base: AgentFile, tools: dict[str, Tool], notes: list[str]) -> tuple[Approval, ...]:
    declared = {name for tool in tools.values() for name in tool.decision_args}
    kept = tuple(rule for rule in base.approvals if set(_ARGUMENT.findall(rule.when)) <= declared)
    gone = [rule.name for rule in base.approvals if rule not in kept]
    notes += [f"rule `{name}` asks of tools that are gone: it went with them" for name in gone]
    return kept


def _habits(
    base: AgentFile, tools: dict[str, Tool], runs: Sequence[RunUse]
) -> tuple[Approval, ...]:
    """Rules for the owner to answer; one of that name in force stands."""
    known = {rule.name for rule in base.approvals}
    if not base.owner.name:
        return ()
    found = habits(tools, ((run.task, run.tools) for run in runs), base.owner.name)
    return tuple(rule for rule in found if rule.name not in known)


def _limits(base: AgentFile, minutes: Iterable[Minute]) -> dict[Access, Limits]:
    by_minute: dict[Access, Counter[int]] = defaultdict(Counter)
    for seen in minutes:
        by_minute[base.access(seen.tool)][seen.minute] += seen.calls
    limits = dict(base.limits)
    for access, counts in sorted(by_minute.items()):
        days: Counter[int] = Counter()
        for minute, calls in counts.items():
            days[minute // 1440] += calls
        known = limits.get(access, Limits())
        limits[access] = Limits(
            per_minute=int(_cap(known.per_minute, counts.values())),
            per_day=int(_cap(known.per_day, days.values())),
        )
    return limits


def _budgets(known: Budgets, runs: Sequence[RunUse]) -> Budgets:
    """Caps of run and day; the others are lowered where they would allow more than those."""
    caps: dict[str, Any] = {}
    for unit in ("usd", "tokens"):
        days: Counter[str] = Counter()
        for run in runs:
            days[run.day] += getattr(run, unit)
        day = _cap(getattr(known, f"day_{unit}"), days.values())
        spent = [getattr(run, unit) for run in runs]
        run_ = _least(_cap(getattr(known, f"run_{unit}"), spent), day)
        hour = _least(getattr(known, f"hour_{unit}"), day)
        call = _least(_least(getattr(known, f"call_{unit}"), run_), hour)
        kind = int if unit == "tokens" else float
        for span, cap in (("day", day), ("run", run_), ("hour", hour), ("call", call)):
            caps[f"{span}_{unit}"] = kind(cap)
    return Budgets(**caps)


def _least(cap: float, wider: float) -> float:
    """A cap that is set stays below a wider one that is set."""
    return min(cap, wider) if cap and wider else cap


def _affordable(tools: dict[str, Tool], budgets: Budgets) -> dict[str, Tool]:
    return {
        name: replace(
            tool,
            max_usd=_least(tool.max_usd, budgets.call_usd),
            max_tokens=int(_least(tool.max_tokens, budgets.call_tokens)),
        )
        for name, tool in tools.items()
    }


def _places(base: AgentFile, runs: Sequence[RunUse], fresh: bool) -> dict[str, Any]:
    seen = {run.environment for run in runs}
    granted = ("dev", "staging", "prod") if fresh else base.granted
    kept = tuple(place for place in granted if place in seen) or base.granted
    home = base.environment if base.environment in kept else kept[0]
    return {"environment": home, "environments": kept if base.environments or len(kept) > 1 else ()}


def _tasks(patterns: tuple[str, ...], runs: Sequence[RunUse], notes: list[str]) -> tuple[str, ...]:
    seen = sorted({run.task for run in runs})
    if len(runs) < ENOUGH_RUNS:
        if any(seen):
            notes.append(f"{len(runs)} runs are too few to tell its tasks ({ENOUGH_RUNS} would do)")
        return patterns
    if patterns:
        return tuple(p for p in patterns if any(fnmatchcase(task, p) for task in seen)) or patterns
    return tuple(seen) if 0 < len(seen) <= TASKS_MAX and all(seen) else ()


def _unused(base: AgentFile, used: dict[str, ToolUse], file: AgentFile) -> list[str]:
    """Grants of the file in force that nothing ever used."""
    tools = [
        f"tool `{name}` ({tool.access})" for name, tool in base.tools.items() if name not in used
    ]
    places = [f"environment {place}" for place in base.granted if place not in file.granted]
    return (
        tools + places + [f"task {pattern}" for pattern in base.tasks if pattern not in file.tasks]
    )


def _cap(known: float, seen: Iterable[float]) -> float:
    """The 99th percentile with headroom, never above the cap in force; that one where nothing was seen."""
    ranked = sorted(seen)
    most = ranked[ceil(SHARE * len(ranked)) - 1] if ranked else 0
    headroom = HEADROOM if len(ranked) >= ENOUGH_VALUES else 2 * HEADROOM
    return _least(rounded(most * headroom), known) or known


def rounded(value: float) -> float:
    """Up to two digits that a person would write.

    >>> [rounded(value) for value in (0, 0.01234, 7, 1234)]
    [0.0, 0.013, 7.0, 1300.0]
    """
    if value <= 0:
        return 0.0
    if value <= LEAST:
        return LEAST
    digits = 1 - floor(log10(value))
    return float(round(ceil(round(value * 10**digits, 6)) / 10**digits, max(digits, 0)))
