"""The narrowest file for a history: it keeps what was used, caps what was seen, and only takes away."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.agent_check import sense
from ingest.agent_diff import changes
from ingest.agent_file import AgentFile
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
    runs: int = 100,
    usd: float = 0.01,
    **run: Any,
) -> Suggestion:
    """Two weeks in which each tool was called so often in each of 200 minutes."""
    uses = [ToolUse(name, calls * 200, 333.0, 0.002, 900) for name, calls in tools.items()]
    minutes = [
        Minute(name, 1440 * (n % 10) + n, calls)
        for name, calls in tools.items()
        for n in range(200)
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


def test_caps_are_what_was_seen_with_headroom() -> None:
    """Per class the 99th percentile of minutes and days, per run and day the money; twice that."""
    made = history(file(tools=TOOLS, environment="prod"), {"crm.find": 5, "crm.refund": 2})

    assert made.file.limits["read"].per_minute == 10
    assert made.file.limits["write"].per_minute == 4
    assert made.file.limits["read"].per_day == 5 * 20 * 2
    assert made.file.budgets.run_usd == 0.02
    assert made.file.budgets.day_usd == 0.2
    assert (made.file.budgets.run_tokens, made.file.budgets.day_tokens) == (2000, 20_000)


def test_one_odd_minute_does_not_set_the_cap() -> None:
    """The 99th percentile, not the worst: a flood in the history is no measure."""
    minutes = [Minute("t", n, 3) for n in range(200)] + [Minute("t", 999, 5000)]
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
    st.sampled_from([None, FULL, file(tools=TOOLS)]),
    st.lists(st.builds(ToolUse, names, st.integers(1, 10**6), numbers, numbers, st.integers(0, 10**6)),
             max_size=4, unique_by=lambda use: use.tool),
    st.lists(st.builds(Minute, names, st.integers(0, 10**5), st.integers(1, 10**5)), max_size=20),
    st.lists(st.builds(RunUse, st.sampled_from(["a", "b"]), st.sampled_from(["dev", "prod", "odd"]),
                       st.sampled_from(["", "refund"]), numbers, st.integers(0, 10**9)), max_size=20),
)  # fmt: skip
def test_every_suggestion_is_a_file_that_could_be_published(
    current: AgentFile | None, uses: list[ToolUse], minutes: list[Minute], runs: list[RunUse]
) -> None:
    """It passes the check, survives its own text, and grants nothing but unlisted tools that were used."""
    made = suggest(current, NEW, uses, minutes, runs).file

    assert sense(made) == []
    assert parse(written(made)) == made
    if current is not None:
        listed = {f"may now call `{use.tool}` (write)" for use in uses}
        wider = {c.words for c in changes(current, made) if c.effect == "wider"}
        assert {words for words in wider - listed if words.startswith("may")} == set()
