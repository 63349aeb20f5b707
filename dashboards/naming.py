"""How people name an agent, or a scope, on the command line."""

from tracefuse.control import SCOPES, agent_scope
from tracefuse.errors import ConfigError


def agent_of(text: str) -> tuple[str, str]:
    """Tenant and agent. Raises `ConfigError` to the person at the keyboard.

    >>> agent_of("acme/refunds"), agent_of("refunds")
    (('acme', 'refunds'), ('default', 'refunds'))
    """
    tenant, slash, agent = text.partition("/")
    if not slash:
        tenant, agent = "default", text
    if not tenant or not agent or "/" in agent:
        raise ConfigError(f"agent {text!r}: give TENANT/AGENT")
    return tenant, agent


def scope_of(text: str) -> str:
    """Scope of what somebody wants stopped: an agent, or any scope by its own name.

    >>> scope_of("refunds"), scope_of("tenant:acme"), scope_of("fleet")
    ('agent:default/refunds', 'tenant:acme', 'fleet')
    """
    if text == "fleet" or text.partition(":")[0] in SCOPES[:-1]:
        return text
    return agent_scope(*agent_of(text))
