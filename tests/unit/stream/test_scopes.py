"""Where a person's word goes, and which scopes are none."""

import pytest

from ingest.topics import FLEET, INBOX
from stream.scopes import place
from tracefuse import wire
from tracefuse.control import concerns, control_key
from tracefuse.errors import ConfigError


@pytest.mark.parametrize(
    ("scope", "topic"),
    [
        ("agent:acme/refunds", INBOX), ("tool:acme/refunds/http/get", INBOX), ("run:acme/refunds/t", INBOX),
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


def test_a_name_with_a_colon_is_bound_too() -> None:
    """Tenants and tools may bear one; a stop of such a tenant concerns its agents, and no others."""
    assert concerns(control_key("tenant:a:b", "human"), "a:b", "x")
    assert not concerns(control_key("tenant:a:b", "human"), "a", "x")
    assert concerns(control_key("shared_tool:a:b/c:d", "human"), "a:b", "x")
