"""Which tasks never use a tool that changes things: rules that ask a person when one does. Pure.

A tool that an agent needs every day is no reason to let each of its tasks use it. Only a task that was
seen often enough can be said never to do something.
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable

from ingest.agent_file import Approval, Tool
from tracefuse.errors import ConfigError

# What was not seen in n runs happens in fewer than 3/n of them, at 95 % (Hanley and Lippman-Hand, JAMA 249,
# 1983): only after so many can it be called unused with less than 2 % of the runs at stake.
ENOUGH_RUNS = 150
# What needs no escape in CEL, and is short enough for a reviewer.
_PLAIN = re.compile(r"[^\"'\\\x00-\x1f\x7f]{1,256}")


def habits(
    tools: dict[str, Tool],
    runs: Iterable[tuple[str, Collection[str]]],
    approver: str,
    enough: int = ENOUGH_RUNS,
) -> tuple[Approval, ...]:
    """A rule for each tool that changes things, about the tasks that have never used it.

    Parameters
    ----------
    tools
        As the file lists them.
    runs
        Task and tools of each run; an empty task is none.
    approver
        Who is asked.
    enough
        Runs after which a task counts as known, >= 1.

    Examples
    --------
    >>> runs = [("report", ["find"])] * 150 + [("refund", ["find", "pay"])]
    >>> [rule] = habits({"find": Tool(), "pay": Tool(access="write")}, runs, "Payments")
    >>> print(rule.when)
    context.tool == "pay" && context.task in ["report"]
    """
    seen, used = Counter[str](), set[tuple[str, str]]()
    for task, done in runs:
        seen[task] += 1
        used.update((task, tool) for tool in done)
    known = sorted(task for task, n in seen.items() if n >= enough and _PLAIN.fullmatch(task))
    rules = []
    for name, tool in tools.items():
        never = [task for task in known if (task, name) not in used]
        if tool.access != "read" and never and _PLAIN.fullmatch(name):
            when = (
                f"context.tool == {_text(name)} && context.task in [{', '.join(map(_text, never))}]"
            )
            title = f"unusual {name.replace('/', '.')}"[:256]
            rules.append(Approval(name=title, when=when, approvers=(approver,)))
    return tuple(rule for rule in rules if _compiles(rule.when))


def _compiles(when: str) -> bool:
    """Not so if it is longer than a rule may be."""
    from ingest.rules import rule  # few agents have so much history, and the library is large

    try:
        rule(when)
    except ConfigError:
        return False
    return True


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
