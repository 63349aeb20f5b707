"""The narrowest file for a history: it keeps what was used, caps what was seen, and only takes away."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.agent_check import sense
from ingest.agent_diff import changes
from ingest.agent_file import AgentFile
from ingest.agent_parts import Tool
from ingest.agent_suggest import Minute, RunUse, Suggestion, ToolUse, suggest
from ingest.agent_toml import written
from ingest.registry import parse
from tests.unit.ingest.test_agent_check import WHOLE

NEW = AgentFile("refunds", tenant="acme")
FULL = parse(WHOLE)


def file(**more: Any) -> AgentFile:
    return msgspec.convert({"agent": "refunds", "tenant": "acme", "version": 7, **more}, AgentFile)


def history(
    current: AgentFile | None,
    tools: dict[str, int],
    runs: int = 300,
    usd: float = 0.01,
    **run: Any,
) -> Suggestion:
    """Ten days in which each tool was called so often in each of 300 minutes."""
    uses = [ToolUse(name, calls * 300, 333.0, 0.002, 900) for name, calls in tools.items()]
    minutes = [
        Minute(name, 1440 * (n % 10) + n, calls)
        for name, calls in tools.items()
        for n in range(300)
    ]
    seen = {"environment": "prod", "task": "refund", "usd": usd, "tokens": 1000, **run}
    return suggest(
        current,
        NEW,
        uses,
        minutes,
        [RunUse(day=f"2026-11-{n % 10:02}", **seen) for n in range(runs)],
    )


TOOLS = {
    "crm.find": {"access": "read", "latency_ms": 100},
    "crm.refund": {"access": "write", "undo": "crm.unrefund", "decision_args": ["amount"]},
    "crm.unrefund": {"access": "write"},
    "crm.delete": {"access": "irreversible", "decision_args": ["id"]},
}


def test_what_was_never_used_is_taken_away_and_named() -> None:
    """Tools, environments and tasks; the way back of a used tool stays."""
    current = file(
        tools=TOOLS, environments=["staging", "prod"], environment="prod", tasks=["ref*", "loan"]
    )
    made = history(current, {"crm.find": 5, "crm.refund": 2})

    assert set(made.file.tools) == {"crm.find", "crm.refund", "crm.unrefund"}
    assert (made.file.environments, made.file.tasks) == (("prod",), ("ref*",))
    assert made.unused == [
        "tool `crm.unrefund` (write)", "tool `crm.delete` (irreversible)",
        "environment staging", "task loan",
    ]  # fmt: skip
    assert made.file.version == 8


def test_a_history_too_short_calls_nothing_unused_but_what_cannot_be_taken_back() -> None:
    """After 150 runs fewer than 2 % need a grant, at 95 %. What is kept is named all the same."""
    current = file(tools=TOOLS, environment="prod", tasks=["ref*", "loan"])
    short = history(current, {"crm.refund": 2}, runs=149)
    long = history(current, {"crm.refund": 2}, runs=150)

    assert set(short.file.tools) == {"crm.find", "crm.refund", "crm.unrefund"}
    assert set(long.file.tools) == {"crm.refund", "crm.unrefund"}
    assert (short.file.tasks, long.file.tasks) == (("ref*", "loan"), ("ref*",))
    assert "tool `crm.find` (read)" in short.unused
    assert short.notes == [
        "149 runs are too few to call `crm.find` unused (150 would do)",
        "149 runs are too few to tell its tasks (150 would do)",
    ]
    assert long.notes == []


def test_caps_are_what_was_seen_with_headroom() -> None:
    """Per class the 99th percentile of minutes, per run that of the money; twice that."""
    made = history(file(tools=TOOLS, environment="prod"), {"crm.find": 5, "crm.refund": 2})

    assert made.file.limits["read"].per_minute == 10
    assert made.file.limits["write"].per_minute == 4
    assert (made.file.budgets.run_usd, made.file.budgets.run_tokens) == (0.02, 2000)


def test_a_percentile_that_was_not_seen_is_doubled_once_more() -> None:
    """Of 298 values the highest may well be below the 99th percentile; days are hardly ever more."""
    made = history(file(tools=TOOLS, environment="prod"), {"crm.find": 5}, runs=298)

    assert made.file.limits["read"].per_day == 5 * 30 * 4
    assert made.file.budgets.run_usd == 0.04
    assert (made.file.budgets.day_usd, made.file.budgets.day_tokens) == (1.2, 120_000)


def test_one_odd_minute_does_not_set_the_cap() -> None:
    """The 99th percentile, not the worst: a flood in the history is no measure."""
    minutes = [Minute("t", n, 3) for n in range(400)] + [Minute("t", 999, 5000)]
    made = suggest(None, NEW, [ToolUse("t", 5600, 1.0, 0.0, 0)], minutes, [])

    assert made.file.limits["write"].per_minute == 6


def test_a_cap_in_force_is_never_raised() -> None:
    """Nor is one set aside that nothing in the history speaks to."""
    current = file(
        tools=TOOLS, environment="prod", budgets={"day_usd": 0.05, "hour_usd": 0.04},
        limits={"read": {"per_minute": 3}, "irreversible": {"per_day": 1}},
    )  # fmt: skip
    made = history(current, {"crm.find": 5})

    assert made.file.limits["read"].per_minute == 3
    assert made.file.limits["irreversible"].per_day == 1
    assert (made.file.budgets.day_usd, made.file.budgets.hour_usd) == (0.05, 0.04)


def test_an_agent_without_a_file_gets_one() -> None:
    """Its tools count as writes until its owner says what they are."""
    made = history(None, {"crm.find": 5})

    assert made.file.tools["crm.find"].access == "write"
    assert (made.file.version, made.file.environment, made.file.tasks) == (1, "prod", ("refund",))
    assert made.file.tools["crm.find"].latency_ms == 340
    assert made.notes == [
        "name an owner, a purpose and a review day",
        "`crm.find` was used and is not listed: it counts as a write; say what it is",
    ]


def test_a_rule_goes_with_the_tools_that_it_asks_of() -> None:
    """And the owner is told."""
    rules = [
        {"name": name, "when": f"args.{name} > 1", "approvers": ["Ann"]}
        for name in ("amount", "id")
    ]
    made = history(file(tools=TOOLS, environment="prod", approvals=rules), {"crm.refund": 1})

    assert [rule.name for rule in made.file.approvals] == ["amount"]
    assert made.notes == ["rule `id` asks of tools that are gone: it went with them"]


numbers = st.floats(0, 1e6, allow_nan=False)
names = st.sampled_from(["crm.refund", "crm.unrefund", "crm.find", "x"])


@given(
    st.sampled_from([None, FULL, file(tools=TOOLS, owner={"name": "Ann"})]),
    st.lists(st.builds(ToolUse, names, st.integers(1, 10**6), numbers, numbers, st.integers(0, 10**6)),
             max_size=4, unique_by=lambda use: use.tool),
    st.lists(st.builds(Minute, names, st.integers(0, 10**5), st.integers(1, 10**5)), max_size=20),
    st.lists(st.builds(RunUse, st.sampled_from(["a", "b"]), st.sampled_from(["dev", "prod", "odd"]),
                       st.sampled_from(["", "refund", 'a"'] ), numbers, st.integers(0, 10**9),
                       st.lists(names, max_size=2).map(tuple)), max_size=20).map(lambda runs: runs * 20),
)  # fmt: skip
def test_every_suggestion_is_a_file_that_could_be_published(
    current: AgentFile | None,
    uses: list[ToolUse],
    minutes: list[Minute],
    runs: list[RunUse],
) -> None:
    """It passes the check, survives its own text, and grants nothing but unlisted tools that were used."""
    made = suggest(current, NEW, uses, minutes, runs).file

    assert sense(made) == []
    assert parse(written(made)) == made
    if current is not None:
        listed = {f"may now call `{use.tool}` (write)" for use in uses}
        wider = {c.words for c in changes(current, made) if c.effect == "wider"}
        assert {words for words in wider - listed if words.startswith("may")} == set()


def test_what_is_nothing_is_not_written() -> None:
    """A cap of 0 is none; written down it reads like a tool that may cost nothing."""
    agent = AgentFile("refunds", tools={"crm.find": Tool(max_usd=float("0"), latency_ms=12.0)})
    text = written(agent)

    assert "latency_ms = 12.0" in text
    assert "max_usd" not in text
