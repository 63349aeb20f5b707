"""Agents as code: what is read, what is refused, and what an owner is told about it."""

from pathlib import Path

import msgspec
import pytest

from detectors import CallRate, CostCap, Silence
from ingest.registry import AgentFile, load, parse
from tracefuse.errors import ConfigError

REFUNDS = """
agent = "refunds"
tenant = "acme"
version = 3
heartbeat_s = 2
[owner]
name = "Payments"
routes = ["alertmanager"]
[tools."crm.refund"]
access = "irreversible"
latency_ms = 800
decision_args = ["amount"]
[tools."crm.find"]
poll = true
[limits.irreversible]
per_minute = 5
[budgets]
run_usd = 1.5
"""


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "refunds.toml")
    return str(caught.value)


def test_a_file_says_what_an_agent_may() -> None:
    """Owner, routes, access classes and caps; what is not said has a safe default."""
    agent = parse(REFUNDS)

    assert (agent.tenant, agent.agent, agent.version) == ("acme", "refunds", 3)
    assert (agent.owner.name, agent.owner.routes) == ("Payments", ("alertmanager",))
    assert agent.access("crm.refund") == "irreversible"
    assert agent.access("crm.find") == "read"
    assert agent.limits["irreversible"].per_minute == 5
    assert (agent.budgets.run_usd, agent.budgets.day_usd, agent.heartbeat_s) == (1.5, 0.0, 2.0)


def test_a_tool_that_is_not_listed_is_a_write() -> None:
    """The stricter class where nobody said anything."""
    assert parse(REFUNDS).access("crm.delete") == "write"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('agnet = "x"', "agnet"),
        ("heartbeat_s = 0", "heartbeat_s"),
        ("heartbeat_s = -1", "heartbeat_s"),
        ("heartbeat_s = nan", "heartbeat_s"),
        ("heartbeat_s = inf", "heartbeat_s"),
        ("heartbeat_s = 0.1", "heartbeat_s"),
        ('environment = "production"', "environment"),
        ("[budgets]\nrun_usd = -1", "run_usd"),
        ("[budgets]\nrun_usd = inf", "run_usd"),
        ("[budgets]\nday_usd = nan", "day_usd"),
        ("[limits.read]\nper_minute = -3", "limits"),
        ("[limits.read]\nper_minute = 2.5", "limits"),
        ("[limits.admin]\nper_minute = 2", "limits"),
        ("[tools.t]\nlatency_ms = -5", "tools"),
        ("[tools.t]\naccess = 'admin'", "tools"),
        ("[tools.t]\npoll = 'yes'", "tools"),
    ],
)
def test_what_no_detector_can_use_is_refused_at_once(line: str, key: str) -> None:
    """The owner is told file and key; a worker that read it would fail at each record of the agent."""
    words = refused(f'agent = "refunds"\n{line}')

    assert words.startswith("refunds.toml: ")
    assert key in words


@pytest.mark.parametrize("name", ["", "a/b", "a\\u0000", "x" * 257])
@pytest.mark.parametrize("key", ["agent", "tenant"])
def test_names_are_parts_of_keys(key: str, name: str) -> None:
    """A slash would make one agent look like another."""
    other = 'tenant = "t"' if key == "agent" else 'agent = "a"'

    assert f"line 2: {key}: " in refused(f'{other}\n{key} = "{name}"')


@pytest.mark.parametrize(
    "line",
    [
        "heartbeat_s = 0.5", "heartbeat_s = 3600", "[budgets]\nrun_usd = 1e9\nday_usd = 1e9",
        "[limits.write]\nper_minute = 1000000000\nper_day = 0",
    ],
)  # fmt: skip
def test_what_is_accepted_the_detectors_can_use(line: str) -> None:
    """At the ends of what may be said, every rule still computes."""
    agent = parse(f'agent = "refunds"\n{line}')
    caps = agent.limits.get("write")

    assert Silence(agent.heartbeat_s).update(False, 1.0) == 0.0
    assert CostCap().update(0.01, 0.0, agent.budgets.run_usd or None) < 1
    assert CallRate().update(0.0, (caps and caps.per_minute) or None, None) < 1


def test_a_file_published_is_the_file() -> None:
    """Through JSON and back nothing is lost, and its hash is the same."""
    agent = parse(REFUNDS)
    again = msgspec.json.decode(msgspec.json.encode(agent), type=AgentFile)

    assert again == agent
    assert again.digest == agent.digest


def test_the_hash_is_of_the_content() -> None:
    """The order in which things are written is none; any change is another version."""
    swapped = REFUNDS.replace("[budgets]\nrun_usd = 1.5\n", "")
    swapped = swapped.replace("[owner]", "[budgets]\nrun_usd = 1.5\n[owner]")

    assert parse(swapped).digest == parse(REFUNDS).digest
    assert parse(REFUNDS.replace("1.5", "1.6")).digest != parse(REFUNDS).digest


def test_a_folder_holds_each_agent_once(tmp_path: Path) -> None:
    """Files by name; an agent that is declared twice is the operator's mistake, and named."""
    (tmp_path / "a.toml").write_text(REFUNDS)
    (tmp_path / "b.toml").write_text('agent = "billing"\ntenant = "acme"')
    (tmp_path / "notes.md").write_text("not an agent")
    found = load(tmp_path)

    assert sorted(found) == [("acme", "billing"), ("acme", "refunds")]
    (tmp_path / "c.toml").write_text(REFUNDS)
    with pytest.raises(
        ConfigError, match=r"c\.toml: line 1: agent: agent acme/refunds is declared twice"
    ):
        load(tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """Bytes of another encoding are the operator's affair too."""
    (tmp_path / "a.toml").write_bytes(b'agent = "\xff"')

    with pytest.raises(ConfigError, match=r"a\.toml: .*utf-8"):
        load(tmp_path)
