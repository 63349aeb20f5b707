"""How people name an agent on the command line."""

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
