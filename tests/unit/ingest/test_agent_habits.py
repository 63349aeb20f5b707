"""Habits: a task that has never used a tool asks a person when it does, once it was seen often enough."""

from typing import Any

import pytest

from ingest.agent_check import sense
from ingest.agent_diff import changes
from ingest.agent_file import AgentFile, Approval, Owner, Tool
from ingest.agent_habits import ENOUGH_RUNS, habits
from ingest.agent_suggest import RunUse, ToolUse, suggest
from ingest.agent_toml import written
from ingest.registry import parse
from ingest.rules import rule

TOOLS = {"find": Tool(), "pay": Tool(access="write"), "drop": Tool(access="irreversible")}
OFTEN = ENOUGH_RUNS
RUNS = [("report", ["find"])] * OFTEN + [("refund", ["find", "pay"])] * OFTEN


def asks(tool: str, task: str, rules: tuple[Approval, ...]) -> bool:
    return any(rule(one.when)({}, {"tool": tool, "task": task}) for one in rules)


@pytest.mark.parametrize(
    ("tool", "task", "asked"),
    [
        ("pay", "report", True),
        ("pay", "refund", False),
        ("drop", "refund", True),
        ("find", "report", False),
        ("pay", "loan", False),  # of which nothing is known
    ],
)
def test_a_task_asks_for_what_it_has_never_done(tool: str, task: str, asked: bool) -> None:
    """Tools that change something alone; reads are free."""
    assert asks(tool, task, habits(TOOLS, RUNS, "Payments")) is asked


def test_one_use_in_all_the_runs_is_enough_to_be_free() -> None:
    """The rule says never, not seldom."""
    assert not asks("pay", "report", habits(TOOLS, [*RUNS, ("report", ["pay"])], "Payments"))


def test_a_task_that_was_seen_too_seldom_has_no_habits() -> None:
    """One run less than enough, and nothing can be said of it; nor of runs that name no task."""
    short = [("report", ["find"])] * (OFTEN - 1) + [("", ["find"])] * OFTEN

    assert habits(TOOLS, short, "Payments") == ()
    assert asks("pay", "report", habits(TOOLS, [*short, ("report", [])], "Payments"))


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "x" * 257])
def test_a_task_whose_name_no_rule_could_hold_is_left_out(name: str) -> None:
    """A name of a program's making must not become a part of the rule's own text."""
    assert habits(TOOLS, [(name, [])] * OFTEN, "Payments") == ()


def test_more_tasks_than_a_rule_can_list_make_none() -> None:
    """No reviewer reads so many, and half of them would be no rule."""
    runs = [(f"task {n:050}", []) for n in range(30) for _ in range(OFTEN)]  # type: ignore[var-annotated]

    assert habits(TOOLS, runs, "Payments") == ()


def suggested(current: AgentFile, **more: Any) -> AgentFile:
    uses = [ToolUse(name, OFTEN, 5.0, 0.0, 0) for name in TOOLS]
    seen = [RunUse("2026-11-01", "dev", task, 0.0, 0, tuple(tools)) for task, tools in RUNS]
    return suggest(current, AgentFile("refunds"), uses, [], seen).file


FILE = AgentFile("refunds", owner=Owner("Payments"), tools=TOOLS)


def test_a_suggestion_asks_the_owner() -> None:
    """The file can be published, is narrower than the one before, and is the same when suggested again."""
    made = suggested(FILE)

    assert [(one.name, one.approvers) for one in made.approvals] == [
        ("unusual pay", ("Payments",)), ("unusual drop", ("Payments",)),
    ]  # fmt: skip
    assert sense(made) == []
    assert parse(written(made)) == made
    assert "wider" not in {change.effect for change in changes(FILE, made)}
    assert suggested(made).approvals == made.approvals


def test_without_an_owner_nobody_could_be_asked() -> None:
    """So there is no rule that nobody may answer."""
    assert suggested(AgentFile("refunds", tools=TOOLS)).approvals == ()
