"""The diff of two versions: no change is silent, and what gives an agent more freedom comes first."""

from typing import Any

import msgspec
import pytest

from ingest.agent_diff import Change, changes
from ingest.agent_file import AgentFile, Tool
from ingest.agent_toml import written
from ingest.registry import parse
from tests.unit.ingest.test_agent_check import WHOLE

FULL = parse(WHOLE)


def file(**more: Any) -> AgentFile:
    return msgspec.convert({"agent": "admin", "version": 2, **more}, AgentFile)


def diff(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    return changes(file(version=1, **old), file(**new))


TOOL = {"access": "write"}
APPROVAL = {"name": "large", "when": "args.amount > 100", "approvers": ["Ann", "Bob"]}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({}, {"tools": {"accounts.delete": {"access": "irreversible"}}},
         "may now call `accounts.delete` (irreversible)"),
        ({"tools": {"t": TOOL}}, {"tools": {"t": {"access": "read"}}},
         "calls of `t` are treated as read, no longer as write"),
        ({"tools": {"t": TOOL | {"undo": "t"}}}, {"tools": {"t": TOOL}},
         "a call of `t` is no longer taken back"),
        ({"tools": {"t": TOOL | {"decision_args": ["amount"]}}}, {"tools": {"t": TOOL}},
         "rules no longer see `amount` of `t`"),
        ({"tools": {"t": TOOL | {"descriptor": "a" * 64}}}, {"tools": {"t": TOOL}},
         "`t` need no longer describe itself as it was approved"),
        ({"tools": {"t": TOOL | {"latency_ms": 100}}}, {"tools": {"t": TOOL | {"latency_ms": 250}}},
         "`t` may take at most 250 ms (was: 100 ms)"),
        ({"tools": {"t": TOOL | {"requires": ["v"]}}}, {"tools": {"t": TOOL}},
         "`t` no longer requires `v` before it"),
        ({"tools": {"t": TOOL | {"confidential": True}}}, {"tools": {"t": TOOL}},
         "results of `t` are no longer confidential"),
        ({"budgets": {"day_usd": 1}}, {"budgets": {"day_usd": 5}},
         "may spend at most $5.00 a day (was: $1.00)"),
        ({"budgets": {"call_usd": 0.0125}}, {}, "may spend any amount in a call (was: $0.0125)"),
        ({"budgets": {"run_tokens": 5_000_000}}, {"budgets": {"run_tokens": 5_000_001}},
         "may use at most 5,000,001 tokens in a run (was: 5,000,000)"),
        ({"limits": {"write": {"per_minute": 10}}}, {},
         "may make any number of write calls a minute (was: 10)"),
        ({"run_timeout_s": 60}, {}, "may run for any time (was: 60 s)"),
        ({}, {"metrics_only": ["error_rate"]}, "`error_rate` only measures and stops nothing"),
        ({"signals": {"exact_loop": "deny"}}, {"signals": {"exact_loop": "ask"}},
         "after `exact_loop` a held call asks a person"),
        ({"depth": 2}, {"depth": 3}, "may go at most 3 agents deep (was: 2)"),
        ({}, {"autonomy": 3}, "acts without holding (autonomy 3, was 2)"),
        ({}, {"held": ["irreversible"]}, "write calls no longer wait for a verdict"),
        ({}, {"without_verdict": "allow"}, "a write without a verdict goes on"),
        ({"approvals": [APPROVAL]}, {},
         "no longer needs approval when args.amount > 100 (rule `large`)"),
        ({"approvals": [APPROVAL]}, {"approvals": [APPROVAL | {"when": "args.amount > 900"}]},
         "rule `large` asks when args.amount > 900 (was: when args.amount > 100)"),
        ({}, {"environments": ["dev", "prod"]}, "may now run in prod"),
        ({"users": ["u-*"]}, {}, "may now work for anything or anybody (was: u-*)"),
        ({"tasks": ["a"]}, {"tasks": ["a", "b"]}, "may now work on b"),
        ({}, {"data_classes": ["personal"]}, "may now handle data of class personal"),
        ({"prohibited_use": ["loans"]}, {}, "may now be used for loans (no longer prohibited)"),
        ({"review_by": "2026-12-31"}, {"review_by": "2027-12-31"},
         "is to be reviewed by 2027-12-31 (was: 2026-12-31)"),
        ({"review_by": "2026-12-31"}, {}, "is to be reviewed never (was: 2026-12-31)"),
        ({}, {"heartbeat_s": 60}, "says every 60 s that it lives (was: 1 s)"),
    ],
)  # fmt: skip
def test_what_gives_more_freedom_is_called_wider(
    old: dict[str, Any], new: dict[str, Any], words: str
) -> None:
    """In a reviewer's words; and the way back is not, but for a rule that only a reader can weigh."""
    assert diff(old, new) == [Change("wider", words)]
    [back] = diff(new, old)
    assert (back.effect == "wider") == words.startswith("rule `large` asks when")


def test_wider_comes_first() -> None:
    """A reviewer who reads one line reads the one that matters."""
    found = diff(
        {"purpose": "a", "budgets": {"day_usd": 9}},
        {"purpose": "b", "budgets": {"day_usd": 5}, "tools": {"t": TOOL}},
    )

    assert [change.effect for change in found] == ["wider", "narrower", "other"]


def test_a_new_agent_is_told_with_all_it_may() -> None:
    """And with what nobody has capped."""
    words = [change.words for change in changes(None, file(tools={"t": TOOL}))]

    assert words == ["may now call `t` (write)", "may spend any amount a day", "is a new agent"]


def test_a_version_that_did_not_rise_is_told() -> None:
    """Two contents of one version are hard to tell apart afterwards."""
    [_, same] = changes(file(), file(purpose="x"))

    assert same == Change("other", "is still called version 2")


def test_the_same_file_is_no_change() -> None:
    """By its digest."""
    assert changes(FULL, FULL) == []
    assert changes(FULL, parse(written(FULL))) == []


def variants(value: Any) -> list[Any]:
    """The same thing with one leaf changed or gone."""
    if isinstance(value, dict):
        changed = [{**value, k: v} for k, inner in value.items() for v in variants(inner)]
        return changed + [{k: v for k, v in value.items() if k != gone} for gone in value]
    if isinstance(value, list | tuple):
        return [[]] if value else []
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value * 2, value / 2 if isinstance(value, float) else value // 2]
    return []


def test_no_change_is_silent() -> None:
    """Whatever differs between two versions, some words tell it."""
    plain = msgspec.to_builtins(FULL)
    seen = 0
    for variant in variants(plain):
        try:
            other = msgspec.convert(variant, AgentFile)
        except msgspec.ValidationError:
            continue
        if other.digest == FULL.digest or other.tenant != FULL.tenant:
            continue
        seen += 1
        for old, new in ((FULL, other), (other, FULL)):
            words = [c.words for c in changes(old, new) if "is still called" not in c.words]
            assert words or old.version != new.version, variant

    assert seen > 80


@pytest.mark.parametrize("agent", [FULL, AgentFile("a"), AgentFile("a", tools={"x y": Tool()})])
def test_written_is_read_again(agent: AgentFile) -> None:
    """The text that `suggest` and the simulated fleet write is the agent."""
    assert parse(written(agent)) == agent


def test_odd_texts_survive_writing() -> None:
    """Quotes, backslashes, line ends, control characters, and names that need quotes."""
    odd = 'a "b" \\ \n\t\x00\x7f ß 😀 \\u0041'
    agent = AgentFile("a", purpose=odd, tools={odd: Tool(result={odd: [1, {"x": True}], "": 1.5})})

    assert parse(written(agent)) == agent
