"""Brings folder, data sources and dashboards into any Grafana by its URL. Everything by uid, so repeats
change nothing; what people made there besides stays untouched.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException, TokenAuth

from dashboards.grafana.panels import CLICKHOUSE, PROMETHEUS
from ingest.settings import Settings
from tracefuse.errors import ConfigError

FOLDER_UID, FOLDER = "tracefuse", "Tracefuse"
DASHBOARDS = Path(__file__).parent / "grafana" / "dashboards"
NOT_FOUND = 404
ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Published:
    """One dashboard as Grafana took it."""

    uid: str
    title: str
    url: str
    version: int


def publish(settings: Settings, prometheus: str) -> list[Published]:
    """Publish everything.

    Parameters
    ----------
    settings
        Grafana's URL and token; ClickHouse's address as Grafana reaches it.
    prometheus
        Prometheus' URL as Grafana reaches it; empty leaves its data source as it is, or out.

    Raises
    ------
    ConfigError
        To the operator: no URL or token, Grafana does not answer, or refuses; the text says which.
    """
    if not settings.grafana:
        raise ConfigError("no Grafana: set TRACEFUSE_GRAFANA to its URL")
    if not settings.grafana_token:
        raise ConfigError(
            "no token: set TRACEFUSE_GRAFANA_TOKEN to one of a service account (Editor)"
        )
    api = GrafanaApi.from_url(
        settings.grafana, credential=TokenAuth(settings.grafana_token), timeout=ANSWER_SECONDS
    )
    try:
        _folder(api)
        _source(api, _clickhouse(settings))
        if prometheus:
            _source(api, _prometheus(prometheus))
        return [_dashboard(api, path) for path in sorted(DASHBOARDS.glob("*.json"))]
    except GrafanaException as error:
        raise ConfigError(f"Grafana {settings.grafana} refuses: {error.message}") from error
    except OSError as error:  # the HTTP library's errors are OSErrors
        raise ConfigError(f"Grafana {settings.grafana} does not answer: {error}") from error
    finally:
        api.client.s.close()


def _folder(api: GrafanaApi) -> None:
    if _found(api.folder.get_folder, FOLDER_UID) is None:
        api.folder.create_folder(FOLDER, uid=FOLDER_UID)


def _source(api: GrafanaApi, source: dict[str, Any]) -> None:
    uid = source["uid"]
    if _found(api.datasource.get_datasource_by_uid, uid) is None:
        api.datasource.create_datasource(source)
    else:
        api.datasource.update_datasource_by_uid(uid, source)


def _dashboard(api: GrafanaApi, path: Path) -> Published:
    dashboard = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    answer = api.dashboard.update_dashboard(
        {
            "dashboard": {**dashboard, "id": None},  # ids are that Grafana's own
            "folderUid": FOLDER_UID,
            "overwrite": True,
            "message": "published by tracefuse",
        }
    )
    return Published(dashboard["uid"], dashboard["title"], answer["url"], answer["version"])


def _found(get: Any, uid: str) -> Any:
    try:
        return get(uid)
    except GrafanaClientError as error:
        if error.status_code != NOT_FOUND:
            raise
        return None


def _clickhouse(settings: Settings) -> dict[str, Any]:
    host, _, port = settings.clickhouse.rpartition(":")
    return {
        **CLICKHOUSE,
        "name": "Tracefuse ClickHouse",
        "access": "proxy",
        "jsonData": {
            "host": host,
            "port": int(port),
            "protocol": "http",
            "username": settings.clickhouse_user,
            "defaultDatabase": settings.clickhouse_database,
        },
        "secureJsonData": {"password": settings.clickhouse_password},
    }


def _prometheus(url: str) -> dict[str, Any]:
    return {**PROMETHEUS, "name": "Tracefuse Prometheus", "access": "proxy", "url": url}
