"""Where things are: addresses, folders, keys. Read once from TRACEFUSE_* at start; frozen afterwards.

Nothing that decides is set here: limits and caps live in the registry, rules in the code (`build`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from tracefuse.errors import ConfigError

PREFIX = "TRACEFUSE_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one process; each has the environment name TRACEFUSE_<NAME>.

    Parameters
    ----------
    home
        Folder of the embedded stack: data of broker and store, keys, run file.
    bootstrap
        Kafka's address, host:port.
    clickhouse
        ClickHouse's HTTP address, host:port.
    clickhouse_user, clickhouse_password, clickhouse_database
        How to log in there.
    keys
        Folder of master and command keys; empty means ``home/keys``.
    registry
        Folder of agent files.
    metrics_port
        Prometheus port of this process on ``metrics_host``; 0 picks a free one.
    alertmanager
        Base URL of Alertmanager; empty turns the route off.
    grafana, grafana_token
        Base URL and token for publishing dashboards.
    replication
        Replication factor of new topics: 1 on one machine, 3 in production.
    """

    home: str = ".tracefuse"
    bootstrap: str = "127.0.0.1:9092"
    clickhouse: str = "127.0.0.1:8123"
    clickhouse_user: str = "default"
    clickhouse_password: str = ""
    clickhouse_database: str = "default"
    keys: str = ""
    registry: str = ""
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    alertmanager: str = ""
    grafana: str = ""
    grafana_token: str = ""
    replication: int = 1

    @property
    def keys_folder(self) -> Path:
        return Path(self.keys) if self.keys else Path(self.home) / "keys"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for child processes."""
        return {PREFIX + f.name.upper(): str(getattr(self, f.name)) for f in fields(self)}


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of the environment. Raises `ConfigError` to the operator, naming the variable."""
    environ = os.environ if environ is None else environ
    values: dict[str, str | int] = {}
    for f in fields(Settings):
        name = PREFIX + f.name.upper()
        if name not in environ:
            continue
        raw = environ[name]
        if f.type is int or f.type == "int":
            try:
                values[f.name] = int(raw)
            except ValueError as error:
                raise ConfigError(f"{name} must be a whole number, not {raw!r}") from error
        else:
            values[f.name] = raw
    return Settings(**values)  # type: ignore[arg-type]
