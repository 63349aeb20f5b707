"""Where a person's word goes, and which scopes are none."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.topics import FLEET, INBOX
from stream.people.scopes import place
from tracefuse import wire
from tracefuse.control import (
    SCOPES,
    concerns,
    control_key,
    partition_of_scope,
    partitions_of_agent,
)
from tracefuse.errors import ConfigError
from tracefuse.wire import VERDICT_PARTITIONS, WIDE_PARTITION, verdict_partition


@pytest.mark.parametrize(
    ("scope", "topic"),
    [
        ("agent:acme/refunds", INBOX), ("tool:acme/refunds/http/get", INBOX), ("run:acme/refunds/t", INBOX),
        ("bundle:acme/refunds/b2", INBOX),
        ("shared_tool:acme/http/get", FLEET), ("class:acme/write", FLEET), ("tenant:acme", FLEET),
        ("fleet", FLEET),
    ],
)  # fmt: skip
def test_each_scope_has_one_owner(scope: str, topic: str) -> None:
    """What is one agent's goes to its inbox, the rest to correlate; each binds the agent in it."""
    found = place(scope)

    assert found.topic == topic
    if topic == INBOX:
        assert found.partition == wire.partition_of("acme/refunds")
    assert concerns(control_key(scope, "human"), "acme", "refunds")
    assert concerns(control_key(scope, "human"), "other", "refunds") == (scope == "fleet")


@pytest.mark.parametrize(
    "scope",
    ["", "fleet:x", "fleet/", "tenant:", "tenant:a/b", "class:acme", "class:acme/delete", "shared_tool:acme/",
     "agent:acme", "agent:acme/a/b", "run:acme/a/t/x", "tool:acme/a/", "refunds", "alive:3"],
)  # fmt: skip
def test_what_is_no_scope_is_refused(scope: str) -> None:
    """A typing error must not become a record that binds nobody, or somebody else."""
    with pytest.raises(ConfigError, match="scope"):
        place(scope)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)


@given(NAMES, NAMES, NAMES)
def test_an_agent_reads_every_partition_that_may_bind_it(
    tenant: str, agent: str, name: str
) -> None:
    """It follows two partitions of the control topic: a stop elsewhere would never reach it."""
    scopes = [
        *(f"{kind}:{tenant}/{agent}/{name}" for kind in ("run", "tool", "bundle")),
        *(f"{kind}:{tenant}/{name}" for kind in ("shared_tool", "class")),
        f"agent:{tenant}/{agent}", f"tenant:{tenant}", "fleet",
    ]  # fmt: skip
    assert {scope.partition(":")[0] for scope in scopes} == set(SCOPES)
    for scope in scopes:
        assert concerns(control_key(scope, "auto"), tenant, agent)
        assert partition_of_scope(scope) in partitions_of_agent(tenant, agent)


@given(NAMES, NAMES, NAMES)
def test_what_binds_one_agent_wakes_not_everybody(tenant: str, agent: str, name: str) -> None:
    """All listen where the wide stops lie: a run's stop there would wake every agent that there is."""
    for kind in ("run", "tool", "bundle"):
        assert partition_of_scope(f"{kind}:{tenant}/{agent}/{name}") != WIDE_PARTITION
    assert partition_of_scope(f"agent:{tenant}/{agent}") != WIDE_PARTITION


def test_a_thousand_processes_share_verdicts_with_few() -> None:
    """Each verdict is read by all who listen to its partition."""
    listening = Counter(verdict_partition(f"boot-{number}") for number in range(1000))
    assert len(listening) == VERDICT_PARTITIONS
    assert max(listening.values()) < 40


def test_a_name_with_a_colon_is_bound_too() -> None:
    """Tenants and tools may bear one; a stop of such a tenant concerns its agents, and no others."""
    assert concerns(control_key("tenant:a:b", "human"), "a:b", "x")
    assert not concerns(control_key("tenant:a:b", "human"), "a", "x")
    assert concerns(control_key("shared_tool:a:b/c:d", "human"), "a:b", "x")
