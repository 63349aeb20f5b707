"""What a gate still misses, in words, and what a file remembers of who let an agent go on."""

import pytest

from ingest.agent_file import AgentFile, Gate, Grant, Stage
from stream.detect.granting import GRANTS_MAX, bundle, environment, noted, since
from stream.people.promotion import before, missing, promoted
from stream.people.proving import Shown, lacking
from tracefuse.errors import ConfigError

WELL = Shown(runs=200, well=199, days=20)
GATE = Gate(runs=100, success=0.99, days=14, approvers=("ann", "carl"))


@pytest.mark.parametrize(
    ("gate", "shown", "by", "said"),
    [
        (GATE, WELL, "ann", []),
        (Gate(runs=100), Shown(runs=99, well=0, days=1), "", ["99 of 100 runs"]),
        (Gate(runs=100), Shown(runs=100, well=0, days=1), "", []),
        (Gate(success=0.99), Shown(100, 98, 1), "", ["98 % of the runs went well, 99 % are asked"]),
        (Gate(success=0.99), Shown(100, 99, 1), "", []),
        # 98.96 % would round to what is asked.
        (Gate(success=0.99), Shown(1000, 989, 1), "", ["98.9 % of the runs went well, 99 % are asked"]),
        (Gate(success=0.995), Shown(1000, 994, 1), "", ["99.4 % of the runs went well, 99.5 % are asked"]),
        (Gate(days=14), Shown(9, 9, 13), "", ["13 of 14 days"]),
        (Gate(approvers=("ann",)), Shown(), "bob", ["bob is not among the approvers (ann)"]),
        (Gate(approvers=("ann",)), Shown(), "", ["nobody is not among the approvers (ann)"]),
        (Gate(days=1), Shown(standing=("agent:a/b",)), "", ["0 of 1 days", "agent:a/b stands open"]),
        (Stage(0.05, runs=3), Shown(2, 2, 1), "", ["2 of 3 runs"]),
        (Stage(0.05), Shown(against=(("canary_mix", ""),)), "", ["canary_mix speaks against it"]),
    ],
)  # fmt: skip
def test_each_thing_that_is_asked_can_be_missing_alone(
    gate: Gate | Stage, shown: Shown, by: str, said: list[str]
) -> None:
    """One sentence each, and none when it is there."""
    assert lacking(gate, shown, by) == said


@pytest.mark.parametrize("gate", [Gate(runs=100, success=0.9), Stage(0.1, runs=100, success=0.9)])
def test_nothing_shown_is_no_proof(gate: Gate | Stage) -> None:
    """Without a run there is no share to judge, and a gate that asks for one stays shut."""
    assert lacking(gate, Shown()) == ["0 of 100 runs"]
    assert lacking(Gate(success=0.9), Shown()) == ["no run has ended, 90 % of them well are asked"]
    assert lacking(Stage(0.1), Shown()) == []


@pytest.mark.parametrize("whole", range(1, 101))
def test_what_is_asked_exactly_is_enough(whole: int) -> None:
    """No share fails for how a computer writes it: 7 of 100 are 0.07."""
    for part in range(whole + 1):
        assert lacking(Gate(success=part / whole), Shown(whole, part, 1)) == []


def test_a_promotion_needs_its_gate_and_the_environment_before() -> None:
    """No gate, no promotion; and nobody leaps over staging."""
    free = AgentFile("refunds", environment="staging")
    far = AgentFile("refunds", gates={"prod": Gate(approvers=("ann",))})

    assert (before("prod"), before("staging")) == ("staging", "dev")
    assert missing(free, "prod", WELL, "ann") == ["the file in force declares no gate for prod"]
    assert missing(far, "prod", WELL, "ann") == ["it may not run in staging yet"]
    assert missing(promoted(far, "staging", Grant("x", "ann")), "prod", WELL, "ann") == []


def test_a_promotion_is_a_new_version_that_says_who_decided() -> None:
    """The environment is added, where it runs stays."""
    agent = AgentFile("refunds", version=4, environment="staging", gates={"prod": GATE})
    grant = Grant(environment("prod"), "ann", "quiet", "2026-11-01T10:00:00Z", "200 runs")
    new = promoted(agent, "prod", grant)

    assert (new.version, new.environment, new.environments) == (5, "staging", ("staging", "prod"))
    assert new.grants == (grant,)


def test_a_file_keeps_the_newest_decisions_and_each_environment() -> None:
    """Many stages of roll-outs push out stages, never who let it into prod."""
    agent = AgentFile("refunds")
    agent = noted(agent, Grant(environment("staging"), "ann"))
    agent = noted(agent, Grant(environment("prod"), "ann"))
    for number in range(2 * GRANTS_MAX):
        agent = noted(agent, Grant(bundle(f"b{number}", 0.05), "carl"))
    agent = noted(agent, Grant(environment("prod"), "carl"))
    kept = [(grant.what, grant.by) for grant in agent.grants]

    assert len(kept) == GRANTS_MAX
    assert kept[0] == ("environment staging", "ann")
    assert kept[-1] == ("environment prod", "carl")
    assert kept[-2] == (f"bundle b{2 * GRANTS_MAX - 1} at 5 %", "carl")


def test_what_no_file_may_hold_is_refused_at_once() -> None:
    """A worker would refuse the version, with an alarm."""
    with pytest.raises(ConfigError, match="can't be recorded"):
        noted(AgentFile("a"), Grant("x", by="a/b"))
    with pytest.raises(ConfigError, match="can't be recorded"):
        noted(AgentFile("a"), Grant("x", by="ann", reason="r" * 5000))


@pytest.mark.parametrize("at", ["", "yesterday", "2026-11-01T10:00:00"])
def test_a_time_that_nobody_can_read_is_none(at: str) -> None:
    """Then nobody knows since when; the newest grant of a name counts."""
    grants = (Grant("x", "ann", at="2026-11-01T10:00:00Z"), Grant("x", "ann", at=at))

    assert since(AgentFile("a", grants=grants), "x") is None
    assert since(AgentFile("a", grants=grants[:1]), "x") == 1793527200.0
    assert since(AgentFile("a"), "x") is None
