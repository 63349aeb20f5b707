"""How people name an agent, a scope or a moment on the command line."""

from datetime import UTC, datetime

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


_AGO = {"m": 60, "h": 3600, "d": 86_400}


def moment(text: str, now: float) -> float:
    """A moment (s, UTC): so long before `now`, or a date in ISO 8601. Raises `ConfigError`.

    >>> moment("2h", 10_000.0), moment("1970-01-01T01:00", 0.0), moment("1970-01-02T00:00+01:00", 0.0)
    (2800.0, 3600.0, 82800.0)
    """
    if text[-1:] in _AGO and text[:-1].isdecimal():
        return now - int(text[:-1]) * _AGO[text[-1]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"time {text!r}: give 30m, 2h, 7d, or 2026-05-17T14:30 (UTC)") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
