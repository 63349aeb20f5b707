"""How an agent gets its fuse: what is not given is read from TRACEFUSE_*; mistakes show at once."""

import os
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from tracefuse.answers import Answers
from tracefuse.commands import CommandReader
from tracefuse.credentials import Credential, load
from tracefuse.ears import Tell
from tracefuse.errors import ConfigError
from tracefuse.fuse import Fuse
from tracefuse.gate import Gate
from tracefuse.held import Held
from tracefuse.transports import KafkaTransport, Transport


def init(
    agent: str | None = None,
    *,
    tenant: str | None = None,
    environment: str | None = None,
    bundle: str | None = None,
    bootstrap: str | None = None,
    credential: str | Path | Credential | None = None,
    spool: str | Path | None = None,
    decision_args: Mapping[str, list[str] | tuple[str, ...]] | None = None,
    access: Mapping[str, str] | None = None,
    kafka: Mapping[str, Any] | None = None,
    transport: Any = None,
) -> Fuse:
    """Start the agent's fuse. What is not given is read from the environment (``TRACEFUSE_*``).

    Parameters
    ----------
    agent, tenant
        Names of the agent; default those of the credential, with which they must agree.
    environment, bundle
        Where it runs, and which version.
    bootstrap
        Kafka's address, host:port.
    credential
        File of the agent's credential, or the credential itself.
    spool
        Folder where events wait while the broker is away.
    decision_args
        By tool, names of arguments that rules may see in clear.
    access
        By tool ``read``, ``write`` or ``irreversible``.
    kafka
        Further options of the Kafka clients, for example of SASL and TLS.
    transport
        Makes another transport than Kafka; for tests.

    Raises
    ------
    ConfigError
        To the operator: a setting is missing or contradicts the credential.
    """

    def setting(given: object, name: str, default: str = "") -> str:
        return str(given) if given is not None else os.environ.get(f"TRACEFUSE_{name}", default)

    if not isinstance(credential, Credential):
        path = setting(credential, "CREDENTIAL")
        if not path:
            raise ConfigError("TRACEFUSE_CREDENTIAL is not set: no key to prove the events with")
        credential = load(Path(path))
    for name, given, held in (
        ("AGENT", agent, credential.agent_id),
        ("TENANT", tenant, credential.tenant),
    ):
        if (wanted := setting(given, name, held)) != held:
            raise ConfigError(f"TRACEFUSE_{name} is {wanted!r}, but the credential is of {held!r}")
    address = setting(bootstrap, "BOOTSTRAP", "127.0.0.1:9092")
    folder = setting(spool, "SPOOL")

    def over_kafka() -> Transport:
        return KafkaTransport(address, "lz4", kafka)

    positions: dict[int, int] = {}

    def from_kafka(gate: Gate, tell: Tell, held: Held) -> Coroutine[Any, Any, None]:
        answers = Answers(credential, held)
        return CommandReader(address, gate, tell, answers, positions, kafka).run()

    return Fuse(
        credential,
        environment=setting(environment, "ENVIRONMENT", "dev"),
        bundle=setting(bundle, "BUNDLE"),
        spool=Path(folder) if folder else None,
        transport=transport or over_kafka,
        decision_args={tool: tuple(names) for tool, names in (decision_args or {}).items()},
        access=dict(access or {}),
        commands=None if transport else from_kafka,
    )
